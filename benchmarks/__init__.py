"""What the product costs: each module prints what it measures."""
