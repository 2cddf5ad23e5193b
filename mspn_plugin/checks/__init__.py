"""What could end or spoil a run, looked for before it starts."""
