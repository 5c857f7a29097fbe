"""A Configuration is read with Dapr's defaults and meanings, and each mistake has one line that names the field."""

from __future__ import annotations

from typing import Any

import pytest
from unit.tables import each_row

from pannier_crds.api_lists import Api
from pannier_crds.component import Component
from pannier_crds.configuration import ApiLogging, Configuration, merged
from pannier_crds.manifests import read_documents
from pannier_crds.path_patterns import MAX_SEGMENTS, PathPattern
from pannier_crds.problems import InvalidManifestError
from pannier_crds.secret import Secret
from pannier_crds.secret_scopes import SecretScope
from pannier_crds.tracing_options import Header, Otel

PUBLISHED = """
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata:
  name: daprConfig
  namespace: default
spec:
  tracing:
    samplingRate: "1"
    stdout: true
    otel:
      endpointAddress: otel.example.com:4317
      isSecure: false
      protocol: grpc
      headers: "api-key=letmein, x-b=2"
      timeout: 2000
    zipkin:
      endpointAddress: http://zipkin.default.svc.cluster.local:9411/api/v2/spans
  metric:
    enabled: false
    recordErrorCodes: true
    latencyDistributionBuckets: [1, 10, 100]
  metrics:
    enabled: true
    rules:
      - name: dapr_runtime_service_invocation_req_sent_total
        labels:
          - name: method
            regex:
              "orders/": "orders/.+"
    http: {increasedCardinality: false, pathMatching: [/orders], excludeVerbs: true}
  httpPipeline:
    handlers:
      - {name: oauth2, type: middleware.http.oauth2}
  secrets:
    scopes:
      - storeName: localstore
        allowedSecrets: ["redis-password"]
      - {storeName: vault, defaultAccess: Deny}
      - {storeName: env, deniedSecrets: [a, b]}
  components:
    deny: [state.redis, bindings.smtp, state.in-memory/v2]
  accessControl: {defaultAction: deny}
  features:
    - {name: ActorStateTTL, enabled: true}
    - {name: HotReload, enabled: false}
  logging:
    apiLogging: {enabled: true, obfuscateURLs: true, omitHealthChecks: true}
  api:
    allowed:
      - {name: state, version: v1.0, protocol: http}
      - {name: state, version: v1, protocol: grpc}
    denied:
      - {name: "state/{storeName}/transaction", version: v1.0, protocol: HTTP}
"""


def test_dapr_s_own_example_is_read():
    (document,) = read_documents(PUBLISHED)
    read = document.read_configuration()
    assert (read.name, read.namespace) == ("daprConfig", "default")
    assert read.tracing.sampling_rate == 1.0
    headers = (Header("api-key", Secret("letmein")), Header("x-b", Secret("2")))
    assert read.tracing.otel == Otel("otel.example.com:4317", "grpc", False, headers, 2.0)
    assert read.tracing.logs_spans
    assert read.tracing.zipkin == "http://zipkin.default.svc.cluster.local:9411/api/v2/spans"
    (listed,) = read_documents(PUBLISHED.replace('"api-key=letmein, x-b=2"', '["api-key=letmein", "x-b=2"]'))
    assert listed.read_configuration().tracing.otel.headers == headers
    metrics = read.metrics
    assert (metrics.is_enabled, metrics.records_error_codes, metrics.buckets_ms) == (True, True, (1, 10, 100))
    assert (metrics.has_path_label, metrics.has_method_label) == (False, False)
    assert metrics.path_patterns == (PathPattern("/orders", ("orders",), False),)
    (rule,) = metrics.rules
    assert (rule.metric, rule.label, rule.pattern.pattern, rule.replacement) == (
        *("dapr_runtime_service_invocation_req_sent_total", "method"),
        *("orders/.+", "orders/"),
    )
    assert read.api_logging == ApiLogging(True, True, True)
    assert (read.enabled_features, read.reloads) == (["ActorStateTTL"], False)
    assert "letmein" not in repr(read)
    fields = {problem.field for problem in document.place(read.remarks)}
    assert {
        "spec.accessControl",
        "spec.httpPipeline",
        "spec.metrics.http.pathMatching",
    } <= fields
    assert "spec.tracing.stdout" not in fields


def test_an_empty_one_changes_nothing():
    read = made()
    assert read == Configuration(name="c")
    assert read.reloads and read.api.permits(Api("state"), "http") and not read.remarks


def manifest(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": {"name": "c"}, "spec": spec}


def made(**spec: Any) -> Configuration:
    return Configuration.from_manifest(manifest(**spec))


def rule(name: str, version: str = "v1", protocol: str = "http") -> dict[str, str]:
    return {"name": name, "version": version, "protocol": protocol}


STATE = Api("state", route="state/{store}/{key}")
BULK = Api("state", route="state/{store}/bulk")
QUERY = Api("state", "v1alpha1", "state/{store}/query")
KEYS = Api("state", "v1alpha1", "state/{store}/keys", is_addition=True)
HEALTH = Api("healthz", route="healthz")


@each_row(
    ("lists", "protocol", "permitted", "refused"),
    [
        ({}, "http", [STATE, BULK, QUERY, KEYS, HEALTH], []),
        ({"allowed": [rule("state")]}, "http", [STATE, BULK, HEALTH], [QUERY, KEYS, Api("metadata")]),
        ({"allowed": [rule("state", "v1.0")]}, "http", [STATE, BULK], [QUERY]),
        ({"allowed": [rule("state", "v1.0-alpha1")]}, "http", [QUERY, KEYS], [STATE]),
        ({"allowed": [rule("state")]}, "grpc", [STATE, Api("metadata")], []),
        ({"allowed": [rule("state", protocol="GRPC")]}, "grpc", [STATE, HEALTH], [Api("metadata"), QUERY]),
        ({"denied": [rule("state")]}, "http", [QUERY, Api("actors")], [STATE, BULK, KEYS]),
        ({"denied": [rule("state", "v1alpha1")]}, "http", [STATE], [QUERY, KEYS]),
        ({"allowed": [rule("state")], "denied": [rule("state")]}, "http", [], [STATE]),
        ({"denied": [rule("healthz")]}, "http", [HEALTH], []),
        # The beginning of a route, over HTTP only; parameters may be called anything.
        ({"denied": [rule("state/{storeName}/bulk", "v1.0")]}, "http", [STATE], [BULK]),
        ({"allowed": [rule("/state/{x}/bulk", "v1.0")]}, "http", [BULK], [STATE, QUERY]),
        ({"denied": [rule("state/{storeName}/bulk", protocol="grpc")]}, "grpc", [Api("state")], []),
        # A list of which no rule can be followed does not open everything.
        ({"allowed": [rule("jobs", protocol="grpc")]}, "grpc", [HEALTH], [Api("state")]),
        ({"allowed": [rule("another-thing", protocol="grpc")]}, "grpc", [], [Api("state")]),
        # Without a protocol a rule is for both.
        ({"denied": [{"name": "state", "version": "v1"}]}, "http", [QUERY], [STATE]),
        ({"denied": [{"name": "state", "version": "v1"}]}, "grpc", [], [Api("state")]),
    ],
)
def test_lists_of_apis_permit_and_refuse(lists, protocol, permitted, refused):
    read = made(api=lists).api
    assert [api for api in (*permitted, *refused) if read.permits(api, protocol)] == permitted


def test_dapr_ignores_a_rule_without_protocol_and_a_warning_says_so():
    read = made(api={"denied": [{"name": "state", "version": "v1"}]})
    assert read.api.as_dapr_reads().permits(STATE, "http")
    (remark,) = read.remarks
    assert remark.field == "spec.api.denied[0].protocol" and "Dapr, and profile dapr, ignore it" in remark.message


@each_row(
    ("scope", "readable"),
    [
        ({}, "abc"),
        ({"defaultAccess": "deny"}, ""),
        ({"defaultAccess": "deny", "allowedSecrets": ["a"]}, "a"),
        ({"allowedSecrets": ["a"], "deniedSecrets": ["a", "b"]}, "a"),
        ({"deniedSecrets": ["a"]}, "bc"),
        ({"defaultAccess": "DENY", "deniedSecrets": ["a"]}, ""),
    ],
)
def test_scopes_of_secrets(scope, readable):
    scopes = made(secrets={"scopes": [{"storeName": "s", **scope}]}).secret_scopes
    assert "".join(name for name in "abc" if scopes["s"].permits(name, "secretstores.local.env")) == readable


ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop-key"
PARAMETER = "arn:aws:ssm:eu-central-1:123456789012:parameter/shop/key"


@each_row(
    ("store", "listed", "same", "others"),
    [
        ("aws.secretmanager", "shop-key", [], ["shop", "Shop-Key", "arn:aws:x"]),
        ("aws.parameterstore", "/shop/key", ["shop/key:3", "/shop/key:live"], ["/shop", "/shop/keys", "/shop/Key"]),
        ("azure.keyvault", "Shop-Key", ["shop-key", "SHOP-KEY"], ["shop-key2"]),
        ("gcp.secretmanager", "key", ["projects/1/secrets/key"], ["projects/1/secrets/key2", "Key"]),
        ("hashicorp.vault", "shop/key", [], ["SHOP/key", "shop"]),
        ("local.file", "a:b", [], ["a", "A:B"]),
    ],
)
def test_lists_of_secrets_are_about_secrets_whichever_of_their_names_is_written(store, listed, same, others):
    kind = f"secretstores.{store}"
    for written in (listed, *same):
        denied, allowed = SecretScope(denied=frozenset([written])), SecretScope(frozenset([written]))
        assert not [name for name in (listed, *same) if denied.permits(name, kind) or not allowed.permits(name, kind)]
        assert not [name for name in others if not denied.permits(name, kind) or allowed.permits(name, kind)]


@each_row(
    ("store", "arn", "name", "other"),
    [
        ("aws.secretmanager", f"{ARN}-AbCdEf", "shop-key", "shop-keys"),
        ("aws.secretmanager", ARN, "shop-key", "shop-key-2"),
        ("aws.secretmanager", ARN.upper(), "SHOP-KEY", "KEY"),
        ("aws.parameterstore", PARAMETER, "/shop/key", "/key"),
        ("aws.parameterstore", PARAMETER, "/shop/key:3", "/shop"),
        ("aws.parameterstore", f"{PARAMETER}:3", "shop/key", "3"),
    ],
)
def test_an_arn_is_no_way_round_a_denied_name_and_the_other_way_round(store, arn, name, other):
    kind = f"secretstores.{store}"
    for denied, asked in ((name, arn), (arn, name), (arn, arn)):
        assert not SecretScope(denied=frozenset([denied])).permits(asked, kind)
    assert SecretScope(denied=frozenset([other])).permits(arn, kind)
    assert SecretScope(denied=frozenset([arn])).permits(other, kind)
    assert SecretScope(frozenset([arn])).permits(arn, kind)
    assert not SecretScope(frozenset([name])).permits(arn, kind)  # the name may be longer


@each_row(
    ("denied", "component", "is_denied"),
    [
        ("state.redis", ("state.redis", "v1"), True),
        ("state.redis/v1", ("state.redis", "v1"), True),
        ("state.redis/v2", ("state.redis", "v1"), False),
        ("state.redis", ("State.Redis", "v1"), True),
        ("state.consul", ("state.hashicorp.consul", "v1"), True),
        ("state.hashicorp.consul", ("state.consul", "v1"), True),
        ("pubsub.redis", ("state.redis", "v1"), False),
        ("state.nonsense", ("state.nonsense", "v7"), True),
    ],
)
def test_denied_components(denied, component, is_denied):
    assert made(components={"deny": [denied]}).denies(Component("c", *component)) is is_denied


@each_row(
    ("spec", "field", "words"),
    [
        ({"tracin": {}}, "spec.tracin", "write 'tracing'"),
        ({"api": {"allow": []}}, "spec.api.allow", "write 'allowed'"),
        ({"api": {"allowed": [rule("sate")]}}, "spec.api.allowed[0].name", "'sate' is no API; write 'state'"),
        ({"api": {"allowed": [rule("state", "v2")]}}, "spec.api.allowed[0].version", "write v1 or v1alpha1"),
        ({"api": {"denied": [rule("state", "")]}}, "spec.api.denied[0].version", "is empty"),
        ({"api": {"denied": [rule("state", "v1", "tcp")]}}, "spec.api.denied[0].protocol", "write http or grpc"),
        ({"api": {"denied": {"name": "state"}}}, "spec.api.denied", "should be a list"),
        ({"secrets": {"scopes": [{"defaultAccess": "deny"}]}}, "spec.secrets.scopes[0].storeName", "is missing"),
        (
            {"secrets": {"scopes": [{"storeName": "s", "defaultAccess": "no"}]}},
            *("spec.secrets.scopes[0].defaultAccess", "write allow or deny"),
        ),
        ({"secrets": {"scopes": [{"storeName": "s"}] * 2}}, "spec.secrets.scopes[1].storeName", "one entry for each"),
        ({"components": {"deny": ["state.redis/v1/x"]}}, "spec.components.deny[0]", "write a type such as"),
        ({"components": {"deny": [1]}}, "spec.components.deny[0]", "should be text"),
        ({"features": [{"name": "HotReload", "enabled": "yes"}]}, "spec.features[0].enabled", "without quotes"),
        ({"logging": {"apiLogging": {"enable": True}}}, "spec.logging.apiLogging.enable", "write 'enabled'"),
        ({"tracing": {"samplingRate": "often"}}, "spec.tracing.samplingRate", "a number from 0 to 1"),
        ({"tracing": {"samplingRate": "nan"}}, "spec.tracing.samplingRate", "a number from 0 to 1"),
        ({"tracing": {"samplingRate": 2}}, "spec.tracing.samplingRate", "a number from 0 to 1"),
        ({"tracing": {"zipkin": {"endpointAddress": "host:9411"}}}, "spec.tracing.zipkin.endpointAddress", "http://"),
        (
            {"tracing": {"otel": {"endpointAddress": "http://a:4318", "protocol": "http"}}},
            *("spec.tracing.otel.endpointAddress", "begins with a scheme; write host:port alone"),
        ),
        ({"tracing": {"otel": {"endpointAddress": "a:4318"}}}, "spec.tracing.otel.protocol", "protocol: grpc for port"),
        ({"tracing": {"otel": {"protocol": "udp"}}}, "spec.tracing.otel.protocol", "write http or grpc"),
        ({"tracing": {"otel": {"headers": "Bearer letmein"}}}, "spec.tracing.otel.headers", "write name=value"),
        ({"tracing": {"otel": {"headers": ["Bearer letmein"]}}}, "spec.tracing.otel.headers", "write name=value"),
        ({"tracing": {"otel": {"headers": ["a=b", {"c": "d"}]}}}, "spec.tracing.otel.headers[1]", "write name=value"),
        ({"tracing": {"otel": {"timeout": "soon"}}}, "spec.tracing.otel.timeout", "write milliseconds"),
        ({"metrics": {"latencyDistributionBuckets": [5, 1]}}, "spec.metrics.latencyDistributionBuckets", "ascending"),
        ({"metrics": {"latencyDistributionBuckets": 5}}, "spec.metrics.latencyDistributionBuckets", "should be a list"),
        *(
            (
                {"metrics": {"http": {"pathMatching": ["/", pattern]}}},
                "spec.metrics.http.pathMatching[1]",
                "each name once",
            )
            for pattern in (
                *("/a{x}", "/{x}a", "/{}", "/{1}", "/{x", "/{x}/{x}", "/{x}/{x...}", "/{x...}/a", "/{$}/a", "GET /a"),
                "/a" * (MAX_SEGMENTS + 1),
            )
        ),
        ({"metric": {"http": {"pathMatching": "/a"}}}, "spec.metric.http.pathMatching", "should be a list"),
        ({"metric": {"http": {"pathMatching": ["/a"] * 1001}}}, "spec.metric.http.pathMatching", "1000 patterns"),
        ({"metric": {"http": {"pathMatching": ["a" * 20_001]}}}, "spec.metric.http.pathMatching", "20000 characters"),
        ({"tracing": {"stdout": "true"}}, "spec.tracing.stdout", "without quotes"),
        (
            {"metric": {"rules": [{"name": "m", "labels": [{"name": "l", "regex": {"x": "("}}]}]}},
            *("spec.metric.rules[0].labels[0].regex.x", "is not a regular expression"),
        ),
        (
            {"metric": {"rules": [{"name": "m", "labels": [{"name": "l", "regex": {"x\ny": 1}}]}]}},
            *("spec.metric.rules[0].labels[0].regex.x y", "should be a regular expression"),
        ),
    ],
)
def test_each_mistake_has_one_line_that_names_the_field(spec, field, words):
    with pytest.raises(InvalidManifestError) as refused:
        made(**spec)
    (problem,) = refused.value.problems
    assert problem.field == field and words in problem.text
    assert "letmein" not in str(problem) and "\n" not in str(problem)


def test_a_later_object_overrides_field_by_field_and_replaces_lists():
    one = manifest(metrics={"enabled": True, "recordErrorCodes": True}, features=[{"name": "a", "enabled": True}])
    other = manifest(metrics={"enabled": False}, features=[{"name": "b", "enabled": True}], tracing=None)
    read = Configuration.from_manifest(merged([one, other]))
    assert (read.metrics.is_enabled, read.metrics.records_error_codes) == (False, True)
    assert read.enabled_features == ["b"]
    metric = manifest(metric={"enabled": True}, metrics={"enabled": False})
    assert Configuration.from_manifest(metric).metrics.is_enabled is False


def test_patterns_of_paths_that_are_not_served_are_named_once():
    served = [
        "/",
        "/{x...}",
        "/{api}/state",
        "v1.0/",
        "//v1.0-alpha1/state/{store}/{key}",
        "/v1.0/secrets/",
        "/v1.0/{a}",
    ]
    assert not made(metrics={"http": {"pathMatching": served}}).remarks
    others = ["/v1.0/invoke/{app}/method/orders", "/orders"]
    (remark,) = made(metrics={"http": {"pathMatching": [*served, *others]}}).remarks
    assert str(remark).count("not served here, such as '/v1.0/invoke/{app}/method/orders'") == 1


def patterns(count: int, pattern: str) -> dict[str, Any]:
    regex = {f"r{i}": pattern for i in range(count)}
    return {"metrics": {"rules": [{"name": "m", "labels": [{"name": "path", "regex": regex}]}]}}


@each_row(
    ["spec", "said"],
    [
        (patterns(1001, "a"), "spec.metrics.rules: has 1001 regular expressions; write 1000 at most"),
        (
            patterns(2, "a" * 10_001),
            "spec.metrics.rules: has regular expressions of 20002 characters together; write 20000 at most",
        ),
        (patterns(1, "[a-\u0100]"), "'[a-\u0100]' has a character beyond U+00FF; write '.' in its place"),
        (patterns(1, "[\\u0100-\\U0010ffff]"), "has a character beyond U+00FF; write '.' in its place"),
    ],
)
def test_patterns_that_take_long_to_compile_are_refused(spec: dict[str, Any], said: str) -> None:
    head = {"apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": {"name": "c"}}
    with pytest.raises(InvalidManifestError) as refused:
        Configuration.from_manifest({**head, "spec": spec})
    assert said in str(refused.value.problems[0])


def test_as_many_as_allowed_are_read() -> None:
    head = {"apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": {"name": "c"}}
    read = Configuration.from_manifest({**head, "spec": patterns(1000, "^/[a-\xff]+$")})
    assert len(read.metrics.rules) == 1000
