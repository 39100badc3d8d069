"""`python -m paraspinal_assets.cli`, for where the `paraspinal` command is not on the path."""

from paraspinal_assets.cli.main import main

main()
