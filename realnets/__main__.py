"""`realnets` and `python -m realnets`."""

from realnets.cli import app
from rmt.console import run_app


def main() -> None:
    """Run the command line."""
    run_app(app)


if __name__ == "__main__":
    main()
