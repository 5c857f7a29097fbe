"""Moves state from one store to another, or to a file of JSON lines and back.

mover                           one move: chooses and opens the places, does the work, reports the outcome copying,
exporting              the work opening, choosing               which component of a file is meant; opening its store
reading, writing                stores and files as sources, a store as a target journal, key_list               what
earlier runs wrote, and which keys there are: SQLite files on this machine progress                        how far it
has come deciding, json_lines, tally     what to do with a key, what a line means, what became of everything. No I/O
items                           an app's key and its value, independent of the store
"""
