"""The other ways to ask a model, with Google's own clients: raw bodies, tensors, tokens, publishers' models."""

from __future__ import annotations

import base64
import json

import pytest
from google import genai
from google.api import httpbody_pb2
from google.api_core import exceptions
from google.cloud import aiplatform_v1, aiplatform_v1beta1
from google.oauth2.credentials import Credentials

PARENT = "projects/p27/locations/us-central1"
PALM = f"{PARENT}/publishers/google/models/text-bison@001"
GEMINI = f"{PARENT}/publishers/google/models/gemini-2.5-flash"


@pytest.fixture(scope="module")
def prediction(emulator):
    return emulator.google(aiplatform_v1.PredictionServiceClient)


@pytest.fixture(scope="module")
def endpoint(emulator):
    """A model of text on an endpoint."""
    bucket = emulator.bucket()
    learnt = [{"input_text": "word1 of a text", "output_text": "label one"}]
    bucket.blob("adapter/adapter.json").upload_from_string(json.dumps(learnt))
    model = {"displayName": "mine", "artifactUri": f"gs://{bucket.name}/adapter"}
    made = emulator.call("POST", f"/v1/{PARENT}/models:upload", {"model": model})["response"]["model"]
    operation = emulator.call("POST", f"/v1/{PARENT}/endpoints", {"displayName": "e"})
    name = operation["name"].partition("/operations/")[0]
    deployed = {"model": made, "automaticResources": {"minReplicaCount": 1}}
    body = {"deployedModel": deployed, "trafficSplit": {"0": 100}}
    emulator.call("POST", f"/v1/{name}:deployModel", body)
    return name


def test_a_raw_body_reaches_the_model_and_its_answer_comes_back_raw(emulator, endpoint):
    body = {"instances": [{"prompt": "word1"}]}
    answer = emulator.http.post(f"/v1/{endpoint}:rawPredict", json=body)
    assert answer.json()["predictions"][0]["content"] == "label one"
    assert set(answer.json()) == {"predictions", "metadata"}
    assert answer.headers["x-vertex-ai-endpoint-id"] == endpoint.rpartition("/")[2]
    assert answer.headers["x-vertex-ai-deployed-model-id"].isdigit()
    streamed = emulator.http.post(f"/v1/{endpoint}:streamRawPredict", json=body)
    assert streamed.json() == answer.json()


def test_a_raw_body_that_googles_client_wraps_is_unwrapped(emulator, prediction, endpoint):
    body = httpbody_pb2.HttpBody(
        content_type="application/json", data=b'{"instances": [{"prompt": "word1"}]}'
    )
    before = len(emulator.requests("aiplatform.projects.locations.endpoints.rawPredict"))
    # This client reads the raw answer as if it were a wrapped one, and finds nothing in it: so does Google's.
    prediction.raw_predict(endpoint=endpoint, http_body=body)
    assert len(emulator.requests("aiplatform.projects.locations.endpoints.rawPredict")) == before + 1
    with pytest.raises(exceptions.BadRequest, match="not JSON"):
        prediction.raw_predict(endpoint=endpoint, http_body=httpbody_pb2.HttpBody(data=b"<xml/>"))


def test_a_text_comes_in_pieces_as_tensors(prediction, endpoint):
    tensor = aiplatform_v1.types.Tensor
    inputs = [tensor(struct_val={"prompt": tensor(string_val=["word1"])})]
    parameters = tensor(
        struct_val={"maxOutputTokens": tensor(int_val=[5]), "temperature": tensor(float_val=[0])}
    )
    for name, text in ((endpoint, "label one"), (PALM, "word1")):
        pieces = prediction.server_streaming_predict(
            request=aiplatform_v1.types.StreamingPredictRequest(
                endpoint=name, inputs=inputs, parameters=parameters
            )
        )
        found = [piece.outputs[0].struct_val["content"].string_val[0] for piece in pieces]
        assert "".join(found) == text
        assert len(found) == 2


def test_explanations_are_refused_where_none_are_set_up(prediction, endpoint):
    with pytest.raises(exceptions.BadRequest, match="no explanation_spec"):
        prediction.explain(endpoint=endpoint, instances=[{"prompt": "x"}])


@pytest.mark.parametrize("verb", ["predict", "rawPredict"])
def test_models_that_chat_are_asked_by_generate_content_alone(emulator, verb):
    answer = emulator.http.post(f"/v1/{GEMINI}:{verb}", json={"instances": [{"prompt": "x"}]})
    assert answer.status_code == 400
    assert "Please use generateContent" in answer.json()["error"]["message"]


def test_tokens_are_counted_as_the_model_then_counts_them(emulator, endpoint):
    gemini = genai.Client(
        vertexai=True,
        project="p27",
        location="us-central1",
        credentials=Credentials(token="local"),
        http_options={"base_url": emulator.url},
    )
    text = "one two three"
    counted = gemini.models.count_tokens(model="gemini-2.5-flash", contents=text)
    answer = gemini.models.generate_content(model="gemini-2.5-flash", contents=text)
    assert counted.total_tokens == answer.usage_metadata.prompt_token_count == 3
    body = {"instances": [{"prompt": "one two"}, {"prompt": "three"}]}
    assert emulator.call("POST", f"/v1/{endpoint}:countTokens", body) == {
        "totalTokens": 3,
        "totalBillableCharacters": 11,
    }
    answer = emulator.http.post(f"/v1/{endpoint}:countTokens", json={})
    assert "Exactly one of contents and instances" in answer.json()["error"]["message"]


def test_tokens_are_those_of_the_base_models_own_tokenizer(start):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    local = start()
    base_model = local.options.base_model
    path = f"/v1/{GEMINI}:computeTokens"
    body = {"contents": [{"role": "user", "parts": [{"text": "über uns"}]}]}
    refused = local.http.post(path, json=body)
    assert "no tokenizer.json" in refused.json()["error"]["message"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        ["uns uns uns"], trainers.BpeTrainer(initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.save(str(base_model / "tokenizer.json"))
    [info] = local.call("POST", path, body)["tokensInfo"]
    tokens = [base64.b64decode(token) for token in info["tokens"]]
    assert b"".join(tokens).decode() == "über uns"
    assert [int(number) for number in info["tokenIds"]] == tokenizer.encode("über uns").ids
    assert info["role"] == "user"
    assert len(tokens) < len("über uns".encode())


def test_publishers_models_are_shown_by_name(emulator):
    garden = emulator.google(aiplatform_v1.ModelGardenServiceClient)
    model = garden.get_publisher_model(name="publishers/google/models/text-bison@001")
    assert model.version_id == "001"
    assert model.predict_schemata.instance_schema_uri.endswith("/text_generation_1.0.0.yaml")
    with pytest.raises(exceptions.NotFound):
        garden.get_publisher_model(name="publishers/google/models/chat-bison@001")
    beta = emulator.google(aiplatform_v1beta1.ModelGardenServiceClient)
    names = [model.name for model in beta.list_publisher_models(parent="publishers/google")]
    assert "publishers/google/models/gemini-2.5-flash" in names
    assert not list(beta.list_publisher_models(parent="publishers/meta"))
