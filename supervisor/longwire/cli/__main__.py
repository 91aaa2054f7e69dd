"""`python -m longwire.cli`: the command without its installed script."""

from longwire.cli import main

if __name__ == "__main__":
    main()
