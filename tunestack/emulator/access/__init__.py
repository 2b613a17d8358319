"""IAM as the emulator enforces it: who calls, which permission a method needs, what policies grant."""
