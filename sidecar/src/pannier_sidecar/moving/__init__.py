"""Moves state from one store to another, or to a file of JSON lines and back.

mover                 one move: locates and opens the places, does the work, reports the outcome
copying, exporting, reencrypting  the work
locating, opening     which component of a file is meant; opening its store
reading, writing      stores and files as sources; a store as a target
journal, key_list     what earlier runs wrote, and which keys there are: SQLite files on this machine
progress              how far the move has come
deciding              what to do with a key. No I/O
json_lines, tally     what a line means; what became of the keys. No I/O
items                 an app's key and its value, independent of the store
"""
