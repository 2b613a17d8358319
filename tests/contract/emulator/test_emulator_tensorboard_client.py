"""Tensorboards with Google's own client: experiments, runs, series, and the points that are written and read."""

from __future__ import annotations

import uuid

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1
from google.cloud.aiplatform_v1 import types

PARENT = "projects/p21/locations/us-central1"
SCALAR = types.TensorboardTimeSeries.ValueType.SCALAR
BLOBS = types.TensorboardTimeSeries.ValueType.BLOB_SEQUENCE


@pytest.fixture(scope="module")
def boards(emulator):
    return emulator.google(aiplatform_v1.TensorboardServiceClient)


@pytest.fixture
def board(boards):
    operation = boards.create_tensorboard(parent=PARENT, tensorboard=types.Tensorboard(display_name="b"))
    return operation.result().name


@pytest.fixture
def run(boards, board):
    experiment = boards.create_tensorboard_experiment(
        parent=board,
        tensorboard_experiment=types.TensorboardExperiment(source="a test", labels={"a": "b"}),
        tensorboard_experiment_id=f"experiment-{uuid.uuid4().hex[:8]}",
    )
    return boards.create_tensorboard_run(
        parent=experiment.name,
        tensorboard_run=types.TensorboardRun(display_name="first"),
        tensorboard_run_id="run-1",
    ).name


def series(boards, run, name="loss", kind=SCALAR):
    return boards.create_tensorboard_time_series(
        parent=run,
        tensorboard_time_series=types.TensorboardTimeSeries(
            display_name=name, value_type=kind, plugin_name="scalars"
        ),
    )


def points(count, start=0):
    return [
        types.TimeSeriesDataPoint(
            step=step, scalar=types.Scalar(value=step / 10), wall_time=f"2026-01-01T00:00:{step % 60:02}Z"
        )
        for step in range(start, start + count)
    ]


def write(boards, run, row, values, kind=SCALAR):
    data = types.TimeSeriesData(
        tensorboard_time_series_id=row.name.rpartition("/")[2], value_type=kind, values=values
    )
    boards.write_tensorboard_run_data(tensorboard_run=run, time_series_data=[data])


def test_points_are_read_as_written_and_a_step_written_twice_has_the_later_value(boards, run):
    loss = series(boards, run)
    write(boards, run, loss, points(20))
    write(boards, run, loss, [types.TimeSeriesDataPoint(step=3, scalar=types.Scalar(value=9.0))])
    read = boards.read_tensorboard_time_series_data(tensorboard_time_series=loss.name).time_series_data
    assert [point.step for point in read.values] == list(range(20))
    assert read.values[3].scalar.value == 9.0
    assert read.values[4].wall_time.second == 4
    row = boards.get_tensorboard_time_series(name=loss.name)
    assert row.metadata.max_step == 19
    few = boards.read_tensorboard_time_series_data(
        request={"tensorboard_time_series": loss.name, "max_data_points": 5}
    )
    assert len(few.time_series_data.values) == 5


def test_an_export_pages_through_all_points_and_a_batch_reads_several_series(boards, board, run):
    loss, accuracy = series(boards, run), series(boards, run, "accuracy")
    experiment = run.rpartition("/runs/")[0]
    requests = [
        types.WriteTensorboardRunDataRequest(
            tensorboard_run=run,
            time_series_data=[
                types.TimeSeriesData(
                    tensorboard_time_series_id=row.name.rpartition("/")[2],
                    value_type=SCALAR,
                    values=points(7),
                )
                for row in (loss, accuracy)
            ],
        )
    ]
    boards.write_tensorboard_experiment_data(
        tensorboard_experiment=experiment, write_run_data_requests=requests
    )
    exported = boards.export_tensorboard_time_series_data(
        request={"tensorboard_time_series": loss.name, "page_size": 3, "order_by": "step desc"}
    )
    assert [point.step for point in exported] == [6, 5, 4, 3, 2, 1, 0]
    found = boards.batch_read_tensorboard_time_series_data(
        request={"tensorboard": board, "time_series": [loss.name, accuracy.name]}
    )
    assert [len(data.values) for data in found.time_series_data] == [7, 7]
    assert boards.get_tensorboard(name=board).run_count == 1
    assert boards.read_tensorboard_size(tensorboard=board).storage_size_byte > 0


def test_the_bytes_of_blobs_are_read_by_their_ids(emulator, boards, run):
    images = series(boards, run, "images", BLOBS)
    blobs = types.TensorboardBlobSequence(
        values=[types.TensorboardBlob(data=b"a"), types.TensorboardBlob(data=b"b")]
    )
    write(boards, run, images, [types.TimeSeriesDataPoint(step=1, blobs=blobs)], BLOBS)
    read = boards.read_tensorboard_time_series_data(tensorboard_time_series=images.name).time_series_data
    [first, second] = read.values[0].blobs.values
    assert not first.data
    assert first.id
    answer = emulator.call("GET", f"/v1/{images.name}:readBlobData", blobIds=[second.id])
    assert answer["blobs"] == [{"id": second.id, "data": "Yg=="}]


def test_runs_and_series_are_made_in_batches_or_not_at_all(boards, run):
    experiment = run.rpartition("/runs/")[0]

    def request(name, identifier):
        return types.CreateTensorboardRunRequest(
            parent=experiment,
            tensorboard_run=types.TensorboardRun(display_name=name),
            tensorboard_run_id=identifier,
        )

    made = boards.batch_create_tensorboard_runs(
        parent=experiment, requests=[request("second", "run-2"), request("third", "run-3")]
    )
    assert [row.display_name for row in made.tensorboard_runs] == ["second", "third"]
    with pytest.raises(exceptions.BadRequest, match="already exist"):
        boards.batch_create_tensorboard_runs(
            parent=experiment, requests=[request("fourth", "run-4"), request("first", "run-5")]
        )
    found = boards.list_tensorboard_runs(request={"parent": experiment, "filter": 'display_name="fourth"'})
    assert not list(found)
    series_made = boards.batch_create_tensorboard_time_series(
        parent=experiment,
        requests=[
            types.CreateTensorboardTimeSeriesRequest(
                parent=row.name,
                tensorboard_time_series=types.TensorboardTimeSeries(display_name="loss", value_type=SCALAR),
            )
            for row in made.tensorboard_runs
        ],
    )
    assert len(series_made.tensorboard_time_series) == 2


def test_what_is_removed_takes_its_runs_and_points_along(boards, board, run):
    loss = series(boards, run)
    write(boards, run, loss, points(3))
    boards.delete_tensorboard_run(name=run).result()
    with pytest.raises(exceptions.NotFound):
        boards.get_tensorboard_time_series(name=loss.name)
    assert boards.read_tensorboard_size(tensorboard=board).storage_size_byte == 0
    boards.delete_tensorboard(name=board).result()
    with pytest.raises(exceptions.NotFound):
        boards.get_tensorboard_experiment(name=run.rpartition("/runs/")[0])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (points(5001), "5001 data points"),
        ([types.TimeSeriesDataPoint(tensor=types.TensorboardTensor(value=b"a"))], "is no SCALAR"),
    ],
)
def test_points_that_google_would_not_take_are_refused(boards, run, values, words):
    loss = series(boards, run)
    with pytest.raises(exceptions.BadRequest, match=words):
        write(boards, run, loss, values)


def test_a_project_and_region_has_one_default_tensorboard(boards):
    def make():
        row = types.Tensorboard(display_name="default", is_default=True)
        return boards.create_tensorboard(parent="projects/p7/locations/us-central1", tensorboard=row).result()

    first, second = make(), make()
    assert not boards.get_tensorboard(name=first.name).is_default
    found = boards.list_tensorboards(
        request={"parent": "projects/p7/locations/us-central1", "filter": "is_default=true"}
    )
    assert [row.name for row in found] == [second.name]


def test_an_experiment_is_changed_under_a_mask_and_its_source_never(boards, run):
    name = run.rpartition("/runs/")[0]
    row = types.TensorboardExperiment(name=name, description="better", source="other")
    changed = boards.update_tensorboard_experiment(
        tensorboard_experiment=row, update_mask={"paths": ["description"]}
    )
    assert (changed.description, changed.source) == ("better", "a test")
    with pytest.raises(exceptions.BadRequest, match="immutable"):
        boards.update_tensorboard_experiment(tensorboard_experiment=row, update_mask={"paths": ["source"]})
