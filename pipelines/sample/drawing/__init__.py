"""Pictures drawn by code: charts, plans and scenes in one dominant colour each."""
