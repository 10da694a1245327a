"""Opens STREAMS connections with a StreamTranslate each, sends a long text on all, says so, and waits to be killed.

usage: vanishing_clients.py HOST:PORT STREAMS
"""

import asyncio
import sys

import grpc

import petit_e2e


async def main(address, count):
    by_reflection = petit_e2e.Client(address)
    descriptor = by_reflection.pool.FindServiceByName("petit.v1.TranslationService").FindMethodByName("StreamTranslate")
    request_class = petit_e2e.message_factory.GetMessageClass(descriptor.input_type)
    request = request_class(id=1, text="a house " * 20, options={
        "model": "tiny", "source_language": "en", "target_language": "fr",
        "decoding": {"max_new_tokens": 500, "min_new_tokens": 499}}).SerializeToString()
    channels, calls = [], []
    for _ in range(count):
        channel = grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        call = channel.stream_stream("/petit.v1.TranslationService/StreamTranslate")()
        channels.append(channel)
        calls.append(call)
    await asyncio.gather(*(call.write(request) for call in calls))
    print("sent", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
