"""python -m bench_operator.sidecars STORES: answers for the sidecars of all pods that every store is ready."""

import sys

from aiohttp import web

from pannier_operator.injection.plan import PUBLIC_PORT


def main(stores: int) -> None:
    answer = {"ready": True, "stores": {f"store-{number}": {"state": "ready"} for number in range(stores)}}

    async def health(_: web.Request) -> web.Response:
        return web.json_response(answer)

    application = web.Application()
    application.router.add_get("/v1.0/healthz", health)
    web.run_app(application, host="0.0.0.0", port=PUBLIC_PORT, print=None, access_log=None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
