"""`python -m hwangso_tools` is `hwangso`: how child processes are started, whatever the PATH."""

from hwangso_tools.cli import main

if __name__ == "__main__":
    main()
