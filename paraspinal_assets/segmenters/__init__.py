"""One interface, several real segmenters."""
