"""The formats that datasets compile to, one module each."""
