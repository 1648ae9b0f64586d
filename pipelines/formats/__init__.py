"""Other people's datasets as documents: releases, conversations, URL lists, texts, and datatrove's readers."""
