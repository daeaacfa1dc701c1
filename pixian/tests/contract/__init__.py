"""The contract as a suite of tests over HTTP, for whatever claims to speak it.

A test module takes the suite in by ``from pixian.tests.contract.suite import *`` and gives it a fixture
``service``. It runs against the embedded engine in-process and over a real gunicorn, and will against the
team gateway.
"""
