"""A tuning environment with all that teams declare around one: a resource of nearly every type that is served."""

import json

import pulumi
import pulumi_gcp as gcp

config = pulumi.Config()
base, project = config.require("endpoint"), config.require("project")
place = "europe-west4"
google = gcp.Provider(
    "google",
    project=project,
    region=place,
    access_token=pulumi.Output.secret("local"),
    artifact_registry_custom_endpoint=f"{base}/v1/",
    big_query_custom_endpoint=f"{base}/bigquery/v2/",
    billing_budgets_custom_endpoint=f"{base}/v1/",
    cloud_quotas_custom_endpoint=f"{base}/v1/",
    iam_beta_custom_endpoint=f"{base}/v1/",
    iam_custom_endpoint=f"{base}/",
    kms_custom_endpoint=f"{base}/v1/",
    logging_custom_endpoint=f"{base}/v2/",
    monitoring_custom_endpoint=f"{base}/",
    pubsub_custom_endpoint=f"{base}/v1/",
    resource_manager_custom_endpoint=f"{base}/v1/",
    secret_manager_custom_endpoint=f"{base}/v1/",
    service_usage_custom_endpoint=f"{base}/v1beta1/",
    storage_custom_endpoint=f"{base}/storage/v1/",
    vertex_ai_custom_endpoint=f"{base}/v1beta1/",
)
inside = pulumi.ResourceOptions(provider=google)
ada, bob = "user:ada@example.org", "user:bob@example.org"

vertex = gcp.projects.Service("vertex", service="aiplatform.googleapis.com", opts=inside)
agent = gcp.projects.ServiceIdentity("agent", service="aiplatform.googleapis.com", opts=inside)
runner = gcp.serviceaccount.Account(
    "runner", account_id="tuning-runner", display_name="Runs tuning", opts=inside
)
key = gcp.serviceaccount.Key("key", service_account_id=runner.name, opts=inside)
gcp.serviceaccount.IAMMember(
    "acts", service_account_id=runner.name, role="roles/iam.serviceAccountUser", member=ada, opts=inside
)
gcp.serviceaccount.IAMBinding(
    "tokens",
    service_account_id=runner.name,
    role="roles/iam.serviceAccountTokenCreator",
    members=[ada],
    opts=inside,
)
tuner = gcp.projects.IAMCustomRole(
    "tuner",
    role_id="tuner",
    title="Tuner",
    permissions=["aiplatform.tuningJobs.create", "aiplatform.tuningJobs.get"],
    opts=inside,
)
gcp.projects.IAMMember("tunes", project=project, role=tuner.name, member=runner.member, opts=inside)
gcp.projects.IAMBinding(
    "reads", project=project, role="roles/aiplatform.viewer", members=[ada, bob], opts=inside
)
gcp.projects.IAMAuditConfig(
    "audit",
    project=project,
    service="aiplatform.googleapis.com",
    audit_log_configs=[{"log_type": "DATA_READ"}, {"log_type": "DATA_WRITE"}],
    opts=inside,
)

ring = gcp.kms.KeyRing("ring", name="tuning", location=place, opts=inside)
cmek = gcp.kms.CryptoKey(
    "cmek", name="models", key_ring=ring.id, rotation_period="7776000s", labels={"team": "ml"}, opts=inside
)
gcp.kms.CryptoKeyVersion("version", crypto_key=cmek.id, state="ENABLED", opts=inside)
gcp.kms.CryptoKeyIAMMember(
    "encrypts",
    crypto_key_id=cmek.id,
    role="roles/cloudkms.cryptoKeyEncrypterDecrypter",
    member=agent.member,
    opts=inside,
)
gcp.kms.KeyRingIAMBinding(
    "keepers", key_ring_id=ring.id, role="roles/cloudkms.admin", members=[ada], opts=inside
)

token = gcp.secretmanager.Secret("token", secret_id="hub-token", replication={"auto": {}}, opts=inside)
gcp.secretmanager.SecretVersion("held", secret=token.id, secret_data="hf_not_to_be_seen", opts=inside)
gcp.secretmanager.SecretIamMember(
    "opens",
    secret_id=token.secret_id,
    role="roles/secretmanager.secretAccessor",
    member=runner.member,
    opts=inside,
)

topic = gcp.pubsub.Topic("events", name="events", message_retention_duration="86400s", opts=inside)
subscription = gcp.pubsub.Subscription(
    "jobs", name="jobs", topic=topic.id, ack_deadline_seconds=30, opts=inside
)
gcp.pubsub.TopicIAMMember(
    "publishes", topic=topic.name, role="roles/pubsub.publisher", member=runner.member, opts=inside
)
gcp.pubsub.SubscriptionIAMBinding(
    "pulls", subscription=subscription.name, role="roles/pubsub.subscriber", members=[bob], opts=inside
)

data = gcp.storage.Bucket(
    "data",
    location=place,
    uniform_bucket_level_access=True,
    force_destroy=True,
    labels={"team": "ml"},
    opts=inside,
)
gcp.storage.BucketObject("rows", bucket=data.name, name="rows.jsonl", content='{"a": 1}', opts=inside)
gcp.storage.BucketIAMMember(
    "loads", bucket=data.name, role="roles/storage.objectViewer", member=runner.member, opts=inside
)
gcp.storage.BucketIAMBinding(
    "stores", bucket=data.name, role="roles/storage.objectAdmin", members=[ada], opts=inside
)

templates = gcp.artifactregistry.Repository(
    "templates", repository_id="templates", location=place, format="KFP", opts=inside
)
gcp.artifactregistry.RepositoryIamMember(
    "compiles",
    repository=templates.name,
    location=place,
    role="roles/artifactregistry.writer",
    member=runner.member,
    opts=inside,
)

board = gcp.vertex.AiTensorboard("board", display_name="curves", region=place, opts=inside)
gcp.vertex.AiMetadataStore("store", name="experiments", region=place, opts=inside)
endpoint = gcp.vertex.AiEndpoint("served", name="4711", location=place, display_name="served", opts=inside)
gcp.vertex.AiEndpointIamMember(
    "asks", endpoint=endpoint.name, location=place, role="roles/aiplatform.user", member=bob, opts=inside
)
gcp.cloudquota.SQuotaPreference(
    "gpus",
    parent=f"projects/{project}",
    name="gpus",
    service="aiplatform.googleapis.com",
    quota_id="CustomModelTrainingA10080GBGPUsPerProjectPerRegion",
    dimensions={"region": place},
    quota_config={"preferred_value": "8"},
    opts=inside,
)

red = gcp.logging.Metric(
    "red",
    name="red",
    filter='resource.type="aiplatform.googleapis.com/PipelineJob" severity>=ERROR',
    metric_descriptor={"metric_kind": "DELTA", "value_type": "INT64"},
    opts=inside,
)
gcp.logging.ProjectSink(
    "errors",
    name="errors",
    destination=data.name.apply(lambda name: f"storage.googleapis.com/{name}"),
    filter="severity>=ERROR",
    opts=inside,
)
gcp.logging.ProjectExclusion("noise", name="noise", filter="severity<INFO", opts=inside)
gcp.logging.ProjectBucketConfig(
    "kept", project=project, location=place, bucket_id="audit", retention_days=90, opts=inside
)
team = gcp.monitoring.NotificationChannel(
    "team", type="email", labels={"email_address": "ml@example.org"}, display_name="the team", opts=inside
)
gcp.monitoring.AlertPolicy(
    "alert",
    display_name="red jobs",
    combiner="OR",
    conditions=[
        {
            "display_name": "a job failed",
            "condition_threshold": {
                "filter": 'metric.type="logging.googleapis.com/user/red" resource.type="global"',
                "comparison": "COMPARISON_GT",
                "duration": "0s",
                "threshold_value": 0,
                "aggregations": [{"alignment_period": "60s", "per_series_aligner": "ALIGN_RATE"}],
            },
        }
    ],
    notification_channels=[team.name],
    opts=inside,
)
gcp.monitoring.Dashboard(
    "dashboard",
    dashboard_json=json.dumps({"displayName": "tuning", "gridLayout": {"columns": "2"}}),
    opts=inside,
)
gcp.billing.Budget(
    "budget",
    billing_account="012345-6789AB-CDEF01",
    amount={"specified_amount": {"currency_code": "USD", "units": "500"}},
    threshold_rules=[{"threshold_percent": 0.5}, {"threshold_percent": 1.0}],
    all_updates_rule={"monitoring_notification_channels": [team.name]},
    opts=inside,
)
export = gcp.bigquery.Dataset("export", dataset_id="billing", location="EU", opts=inside)
gcp.bigquery.Table(
    "receipts",
    dataset_id=export.dataset_id,
    table_id="receipts",
    deletion_protection=False,
    schema=json.dumps([{"name": "job", "type": "STRING"}, {"name": "cost", "type": "NUMERIC"}]),
    opts=inside,
)
gcp.bigquery.DatasetIamMember(
    "counts", dataset_id=export.dataset_id, role="roles/bigquery.dataViewer", member=ada, opts=inside
)
gcp.vertex.AiDataset(
    "tickets",
    display_name="tickets",
    region=place,
    metadata_schema_uri="gs://google-cloud-aiplatform/schema/dataset/metadata/text_1.0.0.yaml",
    opts=inside,
)
gcp.storage.Notification("tells", bucket=data.name, payload_format="NONE", topic=topic.id, opts=inside)
pulumi.export("bucket", data.name)
pulumi.export("key", key.private_key)
