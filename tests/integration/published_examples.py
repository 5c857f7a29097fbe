"""The examples of the published State API specs and of the guide to them, as they are printed.

Repaired, because they cannot run as printed:
- the oldest spec forgets the backslash after the header of its saves, so that a shell would take `-d` for a command;
- the guide calls `.format` on texts whose own braces are not doubled;
- the guide's loop waits for a 200 where the specs answer a save with 201, and would never end.
"""

STORES = ("starwars", "myStateStore", "redis-store")
"""The names of stores in them. `<state_store_name>` stands for any."""

SAVE = """\
curl -X POST http://localhost:3500/v1.0/state/starwars \\
  -H "Content-Type: application/json" \\
  -d '[
        {
          "key": "weapon",
          "value": "DeathStar"
        },
        {
          "key": "planet",
          "value": {
            "name": "Tatooine"
          }
        }
      ]'
"""
GET = """\
curl http://localhost:3500/v1.0/state/starwars/planet \\
  -H "Content-Type: application/json"
"""
DELETE = """\
curl -X "DELETE" http://localhost:3500/v1.0/state/starwars/planet -H "ETag: xxxxxxx"
"""
SAVE_WITH_ETAG = """\
curl -X POST http://localhost:3500/v1.0/state/starwars \\
  -H "Content-Type: application/json" \\
  -d '[
        {
          "key": "weapon",
          "value": "DeathStar",
          "etag": "xxxxx",
          "options": {
            "concurrency": "first-write",
            "consistency": "strong"
          }
        }
      ]'
"""
SAVE_WITH_RETRIES = """\
curl -X POST http://localhost:3500/v1.0/state/starwars \\
  -H "Content-Type: application/json" \\
  -d '[
        {
          "key": "weapon",
          "value": "DeathStar",
          "etag": "xxxxx",
          "options": {
            "concurrency": "first-write",
            "consistency": "strong",
            "retryPolicy": {
              "interval": 100,
              "threshold" : 3,
              "pattern": "exponential"
            }
          }
        }
      ]'
"""

# The oldest spec knows one store only, which it does not name.
OLDEST_SAVE = SAVE.replace("/starwars", "")
OLDEST_GET = GET.replace("/starwars", "")
OLDEST_DELETE = DELETE.replace("/starwars", "")
OLDEST_SAVE_WITH_RETRIES = SAVE_WITH_RETRIES.replace("/starwars", "")

# Bodies that the overview prints without a command.
MY_KEY = """\
[{
  "key": "myKey",
  "value": "myValue"
}]
"""
BULK = """\
[
    {
        "key": "weapon",
        "value": "DeathStar",
        "etag": "1234"
    },
    {
        "key": "planet",
        "value": {
        "name": "Tatooine"
        }
    }
]
"""
MULTI = """\
{
    "operations": [
        {
        "operation": "upsert",
        "request": {
            "key": "key1",
            "value": "myData"
        }
        },
        {
        "operation": "delete",
        "request": {
            "key": "key2"
        }
        }
    ],
    "metadata": {
        "partitionKey": "planet"
    }
}
"""

# The guide, in Python.
GUIDE_SAVE = """\
import requests
import json

store_name = "redis-store" # name of the state store as specified in state store component yaml file
dapr_state_url = "http://localhost:3500/v1.0/state/{}".format(store_name)
stateReq = '[{ "key": "k1", "value": "Some Data", "options": { "consistency": "strong" }}]'
response = requests.post(dapr_state_url, json=stateReq)
"""
GUIDE_GET = """\
import requests
import json

store_name = "redis-store" # name of the state store as specified in state store component yaml file
dapr_state_url = "http://localhost:3500/v1.0/state/{}".format(store_name)
response = requests.get(dapr_state_url + "/key1", headers={"consistency":"strong"})
print(response.headers['ETag'])
"""
GUIDE_DELETE = """\
import requests
import json

store_name = "redis-store" # name of the state store as specified in state store component yaml file
dapr_state_url = "http://localhost:3500/v1.0/state/{}".format(store_name)
response = requests.delete(dapr_state_url + "/key1", headers={"consistency":"strong"})
"""
GUIDE_FIRST_WRITE = """\
import requests
import json

store_name = "redis-store" # name of the state store as specified in state store component yaml file
dapr_state_url = "http://localhost:3500/v1.0/state/{}".format(store_name)
response = requests.get(dapr_state_url + "/key1", headers={"concurrency":"first-write"})
etag = response.headers['ETag']
newState = '[{{ "key": "k1", "value": "New Data", "etag": {}, "options": {{ "concurrency": "first-write" }}}}]'.format(etag)

requests.post(dapr_state_url, json=newState)
response = requests.delete(dapr_state_url + "/key1", headers={"If-Match": "{}".format(etag)})
"""  # noqa: E501
GUIDE_MISMATCH = """\
import requests
import json

# This method saves the state and returns false if failed to save state
def save_state(data):
    try:
        store_name = "redis-store" # name of the state store as specified in state store component yaml file
        dapr_state_url = "http://localhost:3500/v1.0/state/{}".format(store_name)
        response = requests.post(dapr_state_url, json=data)
        if response.status_code == 201:
            return True
    except:
        return False
    return False

# This method gets the state and returns the response, with the ETag in the header -->
def get_state(key):
    response = requests.get("http://localhost:3500/v1.0/state/<state_store_name>/{}".format(key), headers={"concurrency":"first-write"})
    return response

# Exit when save state is successful. success will be False if there's an ETag mismatch -->
success = False
while success != True:
    response = get_state("key1")
    etag = response.headers['ETag']
    newState = '[{{ "key": "key1", "value": "New Data", "etag": {}, "options": {{ "concurrency": "first-write" }}}}]'.format(etag)

    success = save_state(newState)
"""  # noqa: E501

# Components.
COMPONENT = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: statestore
  namespace: default
spec:
  type: state.redis
  metadata:
  - name: redisHost
    value: <redis host>
  - name: redisPassword
    value: ""
  - name: actorStateStore
    value: "true"

"""
