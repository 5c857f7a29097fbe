"""Signing in to the clouds, for state stores and secret stores; imported only by those that use it.

aws            the AWS profile of a component: its credentials, and clients that use them
aws_answers    the parser of these clients, which refuses what AWS does not answer; what their errors mean
"""
