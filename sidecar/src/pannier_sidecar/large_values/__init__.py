"""Values that are larger than one entry of a database should be: kept in parts, written and read as streams.

layout          what is stored: the manifest under the value's own key, the parts, and a record of them
part_store      the store around another one: small values pass, large ones are cut and joined
value_in_parts  one large value that was found, read part by part
part_writer     one large value that is written: record, parts, and the manifest last
sweeping        removes the parts of values that were replaced, deleted or never finished
streams         the calls of front ends that read and write a value part by part

Only components with `largeValues` import it. docs/large-values.md says what is promised.
"""
