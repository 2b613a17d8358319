"""The emulator's BigQuery: GoogleSQL is translated by sqlglot and executed by duckdb over Parquet segments.

SQLite holds every fact (datasets, tables, jobs, which segments a table has); a segment is an immutable Parquet
file, flushed to disk before the transaction that names it. duckdb itself keeps nothing.
"""
