"""Addresses in other programs' spelling are refused with advice, in every store; those that Dapr accepts are not."""

from __future__ import annotations

from unit.tables import each_row

from pannier_crds.catalogue import component_type, read_settings

REFUSED = [
    ("state.sqlite", "connectionString", "Data Source=../x.db", "separates settings"),
    ("state.sqlite", "connectionString", "jdbc:sqlite:x.db", "write the path of the database file"),
    ("state.sqlite", "connectionString", "sqlite:///x.db", "write the path of the database file"),
    ("state.sqlite", "connectionString", "Filename=x.db;Mode=ReadWrite", "separates settings"),
    ("state.sqlite", "connectionString", "~/x.db", "write the whole path"),
    ("state.sqlite", "connectionString", "$HOME/x.db", "variables are not filled in"),
    ("state.sqlite", "connectionString", "%APPDATA%/x.db", "variables are not filled in"),
    ("state.sqlite", "connectionString", "C:\\x.db", "it is a Windows path"),
    ("state.sqlite", "connectionString", "C:/x.db", "it is a Windows path"),
    ("state.sqlite", "connectionString", "x.db;Password=P", "separates settings"),
    ("state.memcached", "hosts", "tcp://h:11211", "a URL is not accepted here"),
    ("state.memcached", "hosts", "memcached://h:11211", "a URL is not accepted here"),
    ("state.memcached", "hosts", "u:P@h:11211", "holds no user or password"),
    ("state.redis", "redisHost", "redis://h:6379", "a URL is not accepted here"),
    ("state.redis", "redisHost", "rediss://h:6379", 'add enableTLS: "true"'),
    ("state.redis", "redisHost", "h:6379,password=P,ssl=true", "holds no settings"),
    ("state.postgresql", "connectionString", "jdbc:postgresql://h/d", "write postgresql://"),
    ("state.postgresql", "connectionString", "postgresql+asyncpg://u:p@h/d", "write postgresql://"),
    ("state.postgresql", "connectionString", "Server=a;Database=d;User Id=u;Password=P;", "write name=value pairs"),
    ("state.postgresql", "connectionString", "postgresql://u:P/x@h/d", "write %2F for '/'"),
    ("state.postgresql", "host", "postgresql://h", "a URL is not accepted here"),
    ("state.postgresql", "connectionString", "host=h sslmode=verify_full", "write disable, allow, prefer, require"),
    ("state.postgresql", "connectionString", "postgresql://h/d?sslmode=on", "verify-ca or verify-full"),
    ("state.postgresql", "connectionString", "postgresql://h/d?target_session_attrs=rw", "write any, primary"),
    ("state.mongodb", "connectionString", "mongodb://u:P/x@h/d", "write %2F for '/'"),
    ("state.mongodb", "server", "mongodb+srv://c.example.com", "is not a DNS name"),
    ("state.mysql", "connectionString", "mysql://u:P@h:3306/d", "schemaName"),
    ("state.mysql", "connectionString", "Server=a;Database=d;Uid=u;Pwd=P;", "write USER:PASSWORD@tcp(HOST:PORT)/"),
    ("state.etcd", "endpoints", "etcd://h:2379", "a URL is not accepted here"),
    ("state.hashicorp.consul", "httpAddr", "consul://h:8500", "a URL is not accepted here"),
    ("state.cassandra", "hosts", "cassandra://h", "a URL is not accepted here"),
    ("state.gcp.spanner", "emulatorHost", "http://h:9010", "a URL is not accepted here"),
    ("state.aws.dynamodb", "endpoint", "https://u:P@h", "holds no user or password"),
    ("state.azure.cosmosdb", "url", "AccountEndpoint=https://h:443/;AccountKey=P", "is not a URL"),
]
TAKEN = [
    ("state.sqlite", "connectionString", "data.db"),
    ("state.sqlite", "connectionString", "./a=b.db"),
    ("state.sqlite", "connectionString", "a%20b%20c.db"),
    ("state.sqlite", "connectionString", "file:/var/x.db?_txlock=immediate&_pragma=cache_size(-500)"),
    ("state.memcached", "hosts", "a:11211, b,/run/memcached.sock"),
    ("state.redis", "redisHost", "a:6379"),
    ("state.redis", "redisHost", "[::1]:6379"),
    ("state.postgresql", "connectionString", "host=localhost user=u password='a;b=c' port=5432 database=d"),
    ("state.postgresql", "connectionString", "postgres://u:p%2Fq@a:1,b:2/d?target_session_attrs=read-write"),
    ("state.postgresql", "connectionString", "postgresql://h:5432/d?user=me@server&sslmode=require"),
    ("state.postgresql", "host", "/var/run/postgresql"),
    ("state.mongodb", "connectionString", "mongodb://u:p%40q@a:1,b:2/db?replicaSet=rs0"),
    ("state.mongodb", "connectionString", "mongodb://%2Ftmp%2Fmongodb-27017.sock/db"),
    ("state.mysql", "connectionString", "u:p@/w@tcp(h:3306)/?parseTime=true&loc=Local&tls=skip-verify"),
    ("state.etcd", "endpoints", "http://a:2379,b:2379"),
    ("state.hashicorp.consul", "httpAddr", "https://127.0.0.1:8500"),
    ("state.cassandra", "hosts", "a:9042, b"),
    ("state.azure.cosmosdb", "url", "https://x.documents.azure.com:443/"),
]


def problems(kind: str, field: str, text: str) -> list[str]:
    found = component_type(kind)
    assert found is not None
    return [str(each) for each in read_settings(found, {field: text})[1] if f"[{field}]" in each.field]


@each_row(("kind", "field", "text", "words"), REFUSED)
def test_another_dialect_is_refused_with_what_to_write(kind: str, field: str, text: str, words: str) -> None:
    (problem,) = problems(kind, field, text)
    assert words in problem and text not in problem


@each_row(("kind", "field", "text"), TAKEN)
def test_addresses_that_dapr_accepts_are_accepted(kind: str, field: str, text: str) -> None:
    assert problems(kind, field, text) == []
