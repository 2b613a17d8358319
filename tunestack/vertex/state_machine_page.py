"""docs/state-machine.md: ``python -m tunestack.vertex.state_machine_page > docs/state-machine.md``."""

from __future__ import annotations

import sys

from tunestack.vertex.job_state import CAUSE_OF_CODE, STATES, RetryCause
from tunestack.vertex.state_machine import STATE_MACHINE, Command

HEAD = """# The states of a job, and what each command does

Written by `python -m tunestack.vertex.state_machine_page > docs/state-machine.md` from `job_state.py` and
`state_machine.py` in `tunestack/vertex`. Tests hold this page to them, and the provider to them on all
paths. It is the same for `PipelineJob`, `TuningJob` and `CustomJob`.

Three things never happen: a job is paid for twice without being asked, a job is left that neither the
state nor its label `tunestack-spec-hash` leads to, an `up` that waits is green over a job that did not
succeed.

## Where a job stands

In priority order: of several jobs with one spec hash the first kind that is there is taken, the newest of
it, and the others are named. A success whose model is gone counts as none, and so does a red end that a
later success answered.
"""

NOTES = """## What is not in the table

- `wait: false`: `up` submits, is green, and says that it did not wait; the state is not SUCCEEDED, so the
  next `up` goes on.
- ^C or the deadline while waiting: red; the job goes on (`onCancel: detach`) or is cancelled (`onCancel:
  cancel`), and its id is in the state.
- `forceNew`: any text that becomes part of the identity, so that another run is trained on purpose. Keep
  it: taking it away goes back to the run before.
- A change of what decides the result is another run: it is trained first, then the old resource is
  deleted as by `down`.
- `deletionPolicy`: ABANDON (the default) keeps model and endpoint and the record that leads to them;
  DELETE undeploys, deletes the endpoints that nothing else uses, then the model (of a model with other
  versions only the job's own), then the record.
- Tuning jobs have no delete: a record stays, and so a later `up` with the same spec finds a red end
  again.
- No kind of job has a patch: labels, names, accounts are written down here only and take effect with the
  next run.
- A lost answer to the create call. A pipeline job is looked up by the id that was chosen for it. Tuning
  jobs and custom jobs are named by the server: they are looked for by their label until one is there, or
  three empty lists in a row were asked for later than 120 s after the answer was lost
  (`tunestack.provider.job_submission.LookUp`; on loopback two lists after 2 s). Only then is anything
  sent again. Where nobody can say, the resource gets the id `…/unconfirmed-<spec hash>` and the next `up`
  goes on looking.
- A create that was under way when its sender was killed may arrive after the next `up` has looked for its
  job. A pipeline job's id is its spec hash and the number of its runs so far, so the second create is
  refused as a conflict, and that job is adopted. Before a tuning or custom job is sent a note is left in the
  folder for temporary files, and taken away once it is known what came of it: who finds one that is no older
  than a create may take to arrive looks until sure, as for a lost answer. A second submission of a job that
  the server names cannot be excluded on another machine, for another user, and for a create that takes longer
  to arrive than is looked for (120 s after it left; nothing that Vertex AI can be asked tells of it). Both then
  carry the label, and a create that adopts one of them names the other ("left as they are").
- One retry that is asked for is one submission of a spec in an update, however many resources have that
  spec: if it ends red too, all of them are red until the next `up`.
- Two resources of one spec that are created at once are one job: one at a time looks and submits, the other
  adopts. So it is also where they have provider resources of their own, which are processes, and where two
  stacks are updated at once, as long as one user runs them on one machine: the turn is a lock of the kernel
  on a file in `tunestack-<uid>` in the folder for temporary files, which goes with the process that holds it
  (where nothing can be locked there, a warning says so). Processes of one update also tell each other by such locks
  which retries were submitted and which objects are kept. Between machines or users a second create of a
  pipeline job is a conflict, and the job adopted; two tuning or custom jobs of one spec that two machines
  submit in the same second are not excluded, and named by whoever adopts one of them.
- Under `--target` and `--replace` the engine does not tell a provider why it is called: a forced
  replacement adopts the same job.
"""


def state_machine_page() -> str:
    """The page, with a line feed at its end."""
    lines = [HEAD, "| it stands | which is |", "|---|---|"]
    lines += [f"| **{standing}** | {rule.meaning} |" for standing, rule in STATE_MACHINE.items()]
    lines += ["", "## What each command does", ""]
    commands = list(Command)
    lines += [f"| it stands | {' | '.join(commands)} |", "|---" * (len(commands) + 1) + "|"]
    for standing, rule in STATE_MACHINE.items():
        deeds = [rule.deeds[command] for command in commands]
        lines.append(f"| **{standing}** | {' | '.join(f'{deed.words} ({deed.end})' for deed in deeds)} |")
    lines += [
        "",
        "## The states",
        "",
        "| state | over | `up` is | adopted | may be retried by cause |",
        "|---|---|---|---|---|",
    ]
    for row in STATES.values():
        flags = ["yes" if flag else "no" for flag in (row.terminal, row.adoptable, row.retryable)]
        end = {"live": "waits", "success": "green", "red": "red"}[row.outcome]
        lines.append(f"| {row.state} | {flags[0]} | {end} | {flags[1]} | {flags[2]} |")
    lines += [
        "",
        "Stopped by hand is CANCELLING, then CANCELLED: red, and never submitted again without being asked.",
        "",
        "## Causes of a red end that a retry may outlive",
        "",
        "`retryFailed` is `false` (the default), `true` (any red end), or a list of these. An error in the data or",
        "the spec is none of them. Which it was is read from `google.rpc.Code` in the job's error; EXPIRED without",
        "one is a stockout.",
        "",
        "| cause | what happened | codes |",
        "|---|---|---|",
    ]
    for cause in RetryCause:
        codes = ", ".join(str(code) for code, other in CAUSE_OF_CODE.items() if other is cause)
        lines.append(f"| `{cause}` | {cause.words} | {codes} |")
    return "\n".join([*lines, "", NOTES])


if __name__ == "__main__":
    sys.stdout.write(state_machine_page())
