"""The local stand-in for the gcp provider plugin (pulumi-gcp), for stacks whose endpoints are on loopback.

Pulumi's gcp plugin is a binary that is in no package registry. This one answers the same gRPC protocol and
makes the same REST calls, against the base addresses of the provider's own ``…CustomEndpoint`` settings;
those must be on loopback. Every resource type is one table in :mod:`.resources`; what the tables mean is in
:mod:`.schema`; the code that reads them is generic.
"""
