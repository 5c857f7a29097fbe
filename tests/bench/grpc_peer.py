"""The gRPC service to compare with: get and save in a grpcio asyncio server over redis-py, written the plain way.

PYTHONPATH=tests REDIS_PORT=6379 python tests/bench/grpc_peer.py PORT
"""

import asyncio
import os
import sys
from typing import Any

import grpc
from redis.asyncio import Redis
from servers.grpc_protos import DAPR, methods

redis = Redis(port=int(os.environ.get("REDIS_PORT", "6379")))
CALLS = methods(DAPR)


async def get(request: Any, context: Any) -> Any:
    data, version = await redis.hmget(f"{request.store_name}:{request.key}", ["data", "version"])
    return CALLS["GetState"][1](data=data or b"", etag=str(int(version or 0)))


async def save(request: Any, context: Any) -> Any:
    async with redis.pipeline(transaction=True) as pipeline:
        for item in request.states:
            pipeline.hset(f"{request.store_name}:{item.key}", "data", item.value)
            pipeline.hincrby(f"{request.store_name}:{item.key}", "version", 1)
        await pipeline.execute()
    return CALLS["SaveState"][1]()


async def main() -> None:
    server = grpc.aio.server()
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(answer, CALLS[name][0].FromString, CALLS[name][1].SerializeToString)
        for name, answer in (("GetState", get), ("SaveState", save))
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(DAPR, handlers),))
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
