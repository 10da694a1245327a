#!/usr/bin/env python3
"""Translates lines of standard input with a petit-server. It knows the server's protos by reflection alone.

    pip install grpcio grpcio-reflection
    echo "a web browser" | python3 translate.py --model teacher --from en --to fr
"""

import argparse
import sys

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


class Stub:
    """The methods of one service as functions that take the request's fields, or an iterator of requests.

    `request(METHOD, **fields)` makes a request; errors are grpc.RpcError.
    """

    def __init__(self, channel, service):
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        self._channel = channel
        self._service = pool.FindServiceByName(service)

    def request(self, method, **fields):
        descriptor = self._service.methods_by_name[method].input_type
        return message_factory.GetMessageClass(descriptor)(**fields)

    def __getattr__(self, method):
        descriptor = self._service.methods_by_name[method]
        kind = "_".join("stream" if streams else "unary"
                        for streams in (descriptor.client_streaming, descriptor.server_streaming))
        call = getattr(self._channel, kind)(
            f"/{self._service.full_name}/{method}",
            request_serializer=message_factory.GetMessageClass(descriptor.input_type).SerializeToString,
            response_deserializer=message_factory.GetMessageClass(descriptor.output_type).FromString)
        if descriptor.client_streaming:
            return call
        return lambda timeout=None, **fields: call(self.request(method, **fields), timeout=timeout)


def translate(channel, lines, options):
    """The lines' translations in their order, streamed: the server answers each as soon as it has it."""
    stub = Stub(channel, "petit.v1.TranslationService")

    def requests():
        yield stub.request("StreamTranslate", options=options)
        for number, line in enumerate(lines):
            yield stub.request("StreamTranslate", id=number, text=line)

    early = {}  # those that came before their turn
    turn = 0
    for response in stub.StreamTranslate(requests()):
        early[response.id] = response.result
        while turn in early:
            yield early.pop(turn)
            turn += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default="127.0.0.1:50051", metavar="HOST:PORT")
    parser.add_argument("--model", required=True)
    parser.add_argument("--from", dest="source", required=True, metavar="LANGUAGE")
    parser.add_argument("--to", dest="target", required=True, metavar="LANGUAGE")
    parser.add_argument("--beams", type=int, default=1)
    arguments = parser.parse_args()
    options = {"model": arguments.model, "source_language": arguments.source, "target_language": arguments.target,
               "decoding": {"num_beams": arguments.beams}}
    failed = 0
    with grpc.insecure_channel(arguments.server) as channel:
        try:
            for result in translate(channel, (line.rstrip("\n") for line in sys.stdin), options):
                if result.HasField("translation"):
                    print(result.translation.text, flush=True)
                else:
                    failed += 1
                    print(f"translate.py: {result.error.message}", file=sys.stderr)
                    print(flush=True)  # so that lines stay with their lines
        except grpc.RpcError as error:
            sys.exit(f"translate.py: {error.code().name}: {error.details()}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
