// serve.js PORT: @vercel/cosmosdb-server with what it lacks and the store over Cosmos DB lives on: 404 for what is not
// there and for a page that begins nowhere, the time to live, batches that happen all or none, and its own address
// without TLS. It looks into the package, so that is pinned.
"use strict";

const { createRequire } = require("node:module");
const load = createRequire(process.env.PACKAGES + "/");
const LIB = "@vercel/cosmosdb-server/lib/";
const Account = load(LIB + "account").default;
const Items = load(LIB + "account/items").default;
const operations = load(LIB + "handler/_document-operations");
const readJson = load(LIB + "json").default;
const readDocument = load(LIB + "handler/read-document");
const queryDocuments = load(LIB + "handler/query-documents");
const batchDocuments = load(LIB + "handler/batch-documents");

const PARTITION = "x-ms-documentdb-partitionkey";
const BATCHED = {
  Create: operations.createOperation,
  Upsert: operations.upsertOperation,
  Replace: operations.replaceOperation,
  Delete: operations.deleteOperation,
  Read: operations.readOperation,
};

// --- time to live: the container's defaultTtl turns it on, an item's ttl goes before it; -1 is never

function expiry(items, document) {
  const container = items._parent && items._parent.read && items._parent.read();
  const usual = container ? container.defaultTtl : undefined;
  if (usual === undefined || usual === null) return Infinity;
  const ttl = document.ttl === undefined || document.ttl === null ? usual : document.ttl;
  return ttl > 0 ? document._ts + ttl : Infinity;
}

function expiring(items) {
  items._expiring = items._expiring || new Map();
  return items._expiring;
}

const remember = Items.prototype._set;
Items.prototype._set = function (document) {
  const at = expiry(this, document);
  if (at === Infinity) expiring(this).delete(document._rid);
  else expiring(this).set(document._rid, at);
  return remember.call(this, document);
};

const remove = Items.prototype.delete;
function removeExpired(items) {
  const now = Date.now() / 1000;
  for (const [rid, at] of expiring(items)) {
    if (at > now) continue;
    expiring(items).delete(rid);
    const item = items._data.get(rid);
    if (item) remove.call(items, item.read().id, items._getPartition(item.read()));
  }
}

for (const name of ["create", "delete", "query", "read", "replace", "upsert", "_item"]) {
  const original = Items.prototype[name];
  Items.prototype[name] = function (...given) {
    removeExpired(this);
    return original.apply(this, given);
  };
}

// --- many items at once: the client names each in one long condition, which the package takes seconds to read

const ask = Items.prototype.query;
const NAMING_EACH = /^SELECT \* FROM c WHERE \( \( c\.id = @param_id0 AND c\.partitionKey = @param_pk00 \)/;
Items.prototype.query = function (wanted, options) {
  if (!NAMING_EACH.test(wanted.query)) return ask.call(this, wanted, options);
  const given = new Map(wanted.parameters.map(({ name, value }) => [name, value]));
  const result = [];
  for (let n = 0; given.has(`@param_id${n}`); n += 1) {
    const item = this._item("/id", given.get(`@param_id${n}`), given.get(`@param_pk${n}0`)).read();
    if (item) result.push(item);
  }
  return { result, continuation: null };
};

// --- where it is

const tell = Account.prototype.read;
Account.prototype.read = function () {
  return JSON.parse(JSON.stringify(tell.call(this)).replaceAll("https://", "http://"));
};

// --- reading what is not there

const read = readDocument.default;
readDocument.default = (account, request, response, names) => {
  const container = account.database(names.dbId).collection(names.collId);
  const partitionKey = request.headers[PARTITION];
  if (container.read() && partitionKey) {
    const found = operations.readOperation(container, { id: names.docId, partitionKey });
    if (found.statusCode === 404) {
      response.statusCode = 404;
      return { code: "NotFound", message: "Entity with the specified id does not exist in the system." };
    }
  }
  return read(account, request, response, names);
};

// --- a page that begins nowhere

const query = queryDocuments.default;
queryDocuments.default = (account, request, response, names) => {
  const continuation = request.headers["x-ms-continuation"];
  if (continuation && !/^\{"token":/.test(continuation)) {
    response.statusCode = 400;
    return { code: "BadRequest", message: "Invalid Continuation Token" };
  }
  return query(account, request, response, names);
};

// --- batches: all or none

batchDocuments.default = async (account, request, response, { dbId, collId }) => {
  const batch = await readJson(request);
  const container = account.database(dbId).collection(collId);
  if (!container.read()) {
    response.statusCode = 404;
    return { code: "NotFound", message: "Owner resource does not exist" };
  }
  const partitionKey = request.headers[PARTITION];
  const documents = container.documents;
  const before = { data: new Map(documents._data), index: new Map(documents._index), at: new Map(expiring(documents)) };
  const results = [];
  for (const part of batch) {
    const run = BATCHED[part.operationType] || (() => ({ statusCode: 400 }));
    const done = run(container, { ...part, partitionKey });
    results.push({ statusCode: done.statusCode, requestCharge: 1, eTag: done.body && done.body._etag });
    if (done.statusCode < 400) continue;
    documents._data = before.data;
    documents._index = before.index;
    documents._expiring = before.at;
    response.statusCode = 207;
    const failing = results.length - 1;
    return batch.map((_, place) => ({ statusCode: place === failing ? done.statusCode : 424, requestCharge: 0 }));
  }
  return results;
};

// Loaded last, because its routes take the handlers as they are then.
const { createHttpServer } = load("@vercel/cosmosdb-server");
createHttpServer({ keepAlive: true }).listen(Number(process.argv[2]), "127.0.0.1");
