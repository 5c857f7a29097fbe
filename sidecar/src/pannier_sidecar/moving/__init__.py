"""State on its way from one store to another, or to a file of JSON lines and back.

mover                           one move: the places chosen and opened, the work done, the outcome reported
copying, exporting              the work
opening, choosing               which component of a file is meant, and its open store
reading, writing                stores and files as places to take from, a store as one to put into
journal, key_list               what earlier runs wrote, and which keys there are: SQLite files on this machine
progress                        how far it has come
deciding, json_lines, tally     what to do with a key, what a line means, what became of it all. No I/O
items                           an app's key and its value, whatever store they are in
"""
