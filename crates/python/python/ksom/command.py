"""The command ``ksom``, as the package brings it along."""
import signal
import sys


def main() -> int:
    """Runs the command with the arguments of this program."""
    from ksom._ksom import main as run

    # Ctrl-C is the command's own: Python would only notice it at the end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return run(["ksom", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
