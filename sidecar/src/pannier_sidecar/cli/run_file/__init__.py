"""`pannier run -f FILE`: several apps, each beside a sidecar of its own, from a run file in Dapr's format.

From a file to running apps:
fields      what a run file may say, a table
reading     the file's fields and their lines, and what is wrong with them
planning    which value goes for which app, and what its sidecar is started with
output      where the lines of an app and of its sidecar go
app_run     one app as the runner sees it: its process, its output, what it reports
runner      starts one app after the other, and ends them all
one_app     the process of one app: what `pannier run` does for it
"""
