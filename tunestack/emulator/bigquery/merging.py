"""MERGE and UPDATE … FROM as queries: what the rows of the target are afterwards. Pure.

Put together as GoogleSQL, which is then checked and translated as every query is. Rows are numbered on both sides; the
pairs that match say which row becomes what. A target row that more than one source row would change is an error of
BigQuery's (cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax#merge_statement).
"""

from __future__ import annotations

from sqlglot import exp

from tunestack.emulator.bigquery.model import CHANGED, INSERTED
from tunestack.emulator.bigquery.refusal import refused

_TWICE = "ERROR('UPDATE/MERGE must match at most one source row for each target row')"
_ARRIVAL = "_PARTITIONTIME"


def updated_from(tree: exp.Update, columns: list[str]) -> str:
    """The rows of the target of an UPDATE … FROM, with the column `CHANGED`. Raises 400."""
    values = assigned(tree.expressions, columns)
    table, alias = _named(tree.this)
    source = (tree.args.get("from_") or tree.args["from"]).this.sql(dialect="bigquery")
    where = tree.args["where"].this.sql(dialect="bigquery")
    pairs = [f"{values.get(name.lower(), f'`{alias}`.`{name}`')} AS v{i}" for i, name in enumerate(columns)]
    chosen = [f"IF(p._row_ IS NOT NULL, p.v{i}, t.`{name}`) AS `{name}`" for i, name in enumerate(columns)]
    return f"""
WITH _target_ AS (SELECT {_list(columns)}, ROW_NUMBER() OVER () AS _row_ FROM {table}),
_pairs_ AS (SELECT `{alias}`._row_ AS _row_, {", ".join(pairs)} FROM _target_ AS `{alias}`
  CROSS JOIN {source} WHERE {where}),
_counted_ AS (SELECT *, COUNT(*) OVER (PARTITION BY _row_) AS _times_ FROM _pairs_)
SELECT {", ".join(chosen)}, IF(p._times_ > 1, {_TWICE}, p._row_ IS NOT NULL) AS {CHANGED}
FROM _target_ AS t LEFT JOIN _counted_ AS p ON t._row_ = p._row_ ORDER BY t._row_"""  # noqa: S608 - GoogleSQL of the user's own


def merged(tree: exp.Merge, columns: list[str]) -> str:
    """The rows of the target of a MERGE, with the columns `CHANGED` and `INSERTED`. Raises 400."""
    table, target = _named(tree.this)
    using = tree.args["using"]
    source = using.alias_or_name or "_source_"
    bare = using.copy()
    bare.set("alias", None)
    on = tree.args["on"].sql(dialect="bigquery")
    whens = tree.args["whens"].expressions
    matched = [when for when in whens if when.args["matched"]]
    unmatched = [when for when in whens if not when.args["matched"] and not when.args.get("source")]
    orphaned = [when for when in whens if not when.args["matched"] and when.args.get("source")]
    kept = [f"`{target}`.`{name}`" for name in columns]
    pairs = _cases(matched, [_changes(when, columns, kept) for when in matched], kept)
    orphans = _cases(orphaned, [_changes(when, columns, kept) for when in orphaned], kept)
    inserted = _cases(
        unmatched, [_inserts(when, columns, source) for when in unmatched], ["NULL"] * len(columns)
    )
    names = [f"v{i} AS `{name}`" for i, name in enumerate(columns)]
    places = ", ".join(f"v{i}" for i in range(len(columns)))
    return f"""
WITH _target_ AS (SELECT {_list(columns)}, ROW_NUMBER() OVER () AS _row_ FROM {table}),
_sources_ AS (SELECT *, ROW_NUMBER() OVER () AS _number_ FROM {bare.sql(dialect="bigquery")}),
_pairs_ AS (SELECT `{target}`._row_ AS _row_, `{source}`._number_ AS _number_, {pairs}
  FROM _target_ AS `{target}` CROSS JOIN _sources_ AS `{source}` WHERE {on}),
_counted_ AS (SELECT *, SUM(IF(_action_ > 0, 1, 0)) OVER (PARTITION BY _row_) AS _times_,
  ROW_NUMBER() OVER (PARTITION BY _row_ ORDER BY _action_ DESC) AS _first_ FROM _pairs_),
_orphans_ AS (SELECT `{target}`._row_ AS _row_, {orphans} FROM _target_ AS `{target}`
  LEFT JOIN (SELECT DISTINCT _row_ FROM _pairs_) AS _p_ ON `{target}`._row_ = _p_._row_ WHERE _p_._row_ IS NULL),
_new_ AS (SELECT `{source}`._number_ AS _row_, {inserted} FROM _sources_ AS `{source}`
  LEFT JOIN (SELECT DISTINCT _number_ FROM _pairs_) AS _p_ ON `{source}`._number_ = _p_._number_
  WHERE _p_._number_ IS NULL),
_all_ AS (
  SELECT 0 AS _part_, _row_, {places}, {_one_of(matched, exp.Update)} AS {CHANGED}, FALSE AS {INSERTED} FROM _counted_
  WHERE _first_ = 1 AND IF(_times_ > 1, {_TWICE}, NOT {_one_of(matched, exp.Var)})
  UNION ALL SELECT 0 AS _part_, _row_, {places}, {_one_of(orphaned, exp.Update)} AS {CHANGED}, FALSE AS {INSERTED}
  FROM _orphans_ WHERE NOT {_one_of(orphaned, exp.Var)}
  UNION ALL SELECT 1 AS _part_, _row_, {places}, FALSE AS {CHANGED}, TRUE AS {INSERTED} FROM _new_ WHERE _action_ > 0)
SELECT {", ".join(names)}, {CHANGED}, {INSERTED} FROM _all_ ORDER BY _part_, _row_"""  # noqa: S608 - GoogleSQL of the user's own


def assigned(assignments: list[exp.Expr], columns: list[str]) -> dict[str, str]:
    """The values of a SET by column, in lower case. Raises 400 on a column that is not there."""
    known = {column.lower() for column in columns}
    values: dict[str, str] = {}
    for assignment in assignments:
        name = assignment.this.name.lower()
        if not isinstance(assignment, exp.EQ) or name not in known:
            raise refused(f"Column {assignment.this.name} is not present in the table")
        values[name] = _value(assignment.expression)
    return values


def _changes(when: exp.Expr, columns: list[str], kept: list[str]) -> list[str]:
    """What the columns of a row become by a clause: of a DELETE it does not matter."""
    then = when.args["then"]
    if not isinstance(then, exp.Update):
        return kept
    values = assigned(then.expressions, columns)
    return [values.get(name.lower(), old) for name, old in zip(columns, kept, strict=True)]


def _inserts(when: exp.Expr, columns: list[str], source: str) -> list[str]:
    """The row that a clause inserts. Raises 400 where its columns are not the table's, or not as many as its values."""
    then = when.args["then"]
    given = then.args.get("expression")
    arrival = "TIMESTAMP_TRUNC(CURRENT_TIMESTAMP(), DAY)"
    if not isinstance(given, exp.Tuple):  # INSERT ROW
        return [arrival if name == _ARRIVAL else f"`{source}`.`{name}`" for name in columns]
    own = [name for name in columns if name != _ARRIVAL]
    named = [column.name for column in then.this.expressions] if isinstance(then.this, exp.Tuple) else own
    values = [_value(value) for value in given.expressions]
    if len(values) != len(named):
        raise refused(f"Inserted row has wrong column count; Has {len(values)}, expected {len(named)}")
    for name in named:
        if name.lower() not in {column.lower() for column in own}:
            raise refused(f"Column {name} is not present in the table")
    by_name = {name.lower(): value for name, value in zip(named, values, strict=True)}
    return [arrival if name == _ARRIVAL else by_name.get(name.lower(), "NULL") for name in columns]


def _cases(whens: list[exp.Expr], rows: list[list[str]], otherwise: list[str]) -> str:
    """``_action_``, the number of the first clause whose condition holds (0: none), and the columns by it."""
    conditions = [
        when.args["condition"].sql(dialect="bigquery") if when.args.get("condition") else "TRUE"
        for when in whens
    ]

    def case(results: list[str], last: str) -> str:
        if not conditions:
            return last
        parts = [
            f"WHEN {condition} THEN {result}" for condition, result in zip(conditions, results, strict=True)
        ]
        return f"CASE {' '.join(parts)} ELSE {last} END"

    action = case([str(number) for number in range(1, len(whens) + 1)], "0")
    columns = [f"{case([row[i] for row in rows], last)} AS v{i}" for i, last in enumerate(otherwise)]
    return ", ".join([f"{action} AS _action_", *columns])


def _one_of(whens: list[exp.Expr], kind: type[exp.Expr]) -> str:
    """Whether ``_action_`` is a clause of a kind: an update, or a DELETE (a bare word to sqlglot)."""
    numbers = [str(i + 1) for i, when in enumerate(whens) if isinstance(when.args["then"], kind)]
    return f"_action_ IN ({', '.join(numbers)})" if numbers else "FALSE"


def _value(value: exp.Expr) -> str:
    return "NULL" if value.sql().upper() == "DEFAULT" else value.sql(dialect="bigquery")


def _named(table: exp.Expr) -> tuple[str, str]:
    """A table as it is written without its alias, and what its rows are called."""
    bare = table.copy()
    bare.set("alias", None)
    return bare.sql(dialect="bigquery"), table.alias_or_name


def _list(columns: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in columns)
