"""Signing in to the clouds, for state stores and secret stores; imported only by those that use it.

aws                  the AWS profile of a component: its credentials, and clients that use them
aws_answers          the parser of these clients, which refuses what AWS does not answer; what their errors mean
gcp                  signing in to Google Cloud, and its tokens
azure                signing in with Entra ID, and its tokens
database_tokens      tokens that are sent to servers: what of a cloud's client is needed, is imported then
renewal              when a token is renewed
azure_profile        the Azure profile of a component
azure_storage_login  has calls to an Azure storage account signed by such tokens
azure_answers        a session for Azure's clients, which reads within limits; why signing in failed
"""
