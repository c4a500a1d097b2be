"""Orthanc beside the gateway: the PACS of the tests and of the rate comparison."""
