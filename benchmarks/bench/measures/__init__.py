"""One module per thing that is measured: from a `Bench` to rows. Nothing here knows the table."""
