"""Random programs, edits, job outcomes, faults and signals against the real engine, provider and emulator."""
