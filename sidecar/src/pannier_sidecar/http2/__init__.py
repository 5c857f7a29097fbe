"""HTTP/2 for servers (RFC 9113), without I/O: bytes in, events out; answers in, bytes out.

    connection = Http2Connection(limits, handler, writer)
    connection.start()
    connection.receive(data)              # calls the handler: a request, its body, the end of a stream
    connection.send(1, HEADERS, b"...", TRAILERS)
    transport.write(connection.output.take())

    connection        one connection: what comes in, and what is answered
    handler           what it calls
    limits, rates     what a peer may make it hold and do
    reader            frames of what came in, in pieces of any size
    streams, output   what it knows of each stream, and what waits to be written
    frames, frame_rules, headers, hpack   frames and header blocks as bytes

The caller moves the bytes and has the clock: it decides how long a client may be silent or slow.
"""
