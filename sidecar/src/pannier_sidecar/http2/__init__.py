"""HTTP/2 for servers (RFC 9113), without I/O: bytes in, events out; answers in, bytes out.

    connection = Http2Connection(limits, handler, writer)
    connection.start()
    connection.receive(data)              # calls the handler: a request, its body, the end of a stream
    connection.send(1, HEADERS, b"...", TRAILERS)
    transport.write(connection.output.take())

    connection        one connection: handles received frames, begins and ends
    sending           sends answers, and ends streams
    handler           the interfaces that a connection calls
    limits, rates     how much a peer may send, and make the connection hold
    reader            cuts received bytes into frames
    streams, output   the state of each stream, and what waits to be written
    frames, frame_rules, headers, hpack   encode, decode and check frames and header blocks

The caller moves the bytes and has the clock: it decides how long a client may be silent or slow.
"""
