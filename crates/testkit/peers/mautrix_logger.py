"""A logger made with mautrix-python, for comparison with the kit's own.

Usage: python mautrix_logger.py HOMESERVER_URL SERVER_NAME REGISTRATION_FILE LOG_FILE

For each alias of its namespace that it is asked about it creates a public room. Each event that it is sent becomes
one line of JSON in LOG_FILE. It prints "listening" once it does. mautrix keeps its own state in the working folder.
"""

import asyncio
import json
import logging
import signal
import sys
from urllib.parse import urlsplit

from mautrix.appservice import AppService
from mautrix.types import RoomCreatePreset
from ruamel.yaml import YAML


async def main(homeserver, server_name, registration_file, log_file):
    with open(registration_file) as file:
        registration = YAML(typ="safe").load(file)
    appservice = AppService(
        server=homeserver,
        domain=server_name,
        id=registration["id"],
        as_token=registration["as_token"],
        hs_token=registration["hs_token"],
        bot_localpart=registration["sender_localpart"],
    )

    async def create_room(alias):
        localpart = alias[1:].split(":", 1)[0]
        await appservice.intent.create_room(localpart, preset=RoomCreatePreset.PUBLIC)
        return {"created": True}

    appservice.query_alias = create_room

    # Line by line, so that each event is in the file before the next one is handled.
    with open(log_file, "a", buffering=1) as log:

        @appservice.matrix_event_handler
        async def write(event):
            log.write(json.dumps(event.serialize()) + "\n")

        address = urlsplit(registration["url"])
        await appservice.start(address.hostname, address.port)
        print("listening", flush=True)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        await ended.wait()
        await appservice.stop()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(main(*sys.argv[1:]))
