"""The seven topics of the sample web, one module and one host each."""

from pipelines.sample.topics import garden, instruments, kitchen, numbers, rivers, sky, trams

TOPICS = (sky.TOPIC, garden.TOPIC, rivers.TOPIC, trams.TOPIC, kitchen.TOPIC, instruments.TOPIC, numbers.TOPIC)
