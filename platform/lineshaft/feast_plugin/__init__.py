"""Feast's own client on Lineshaft's stores: the classes that `feature_store.yaml` names.

`online.LineshaftOnlineStore`, `offline.LineshaftOfflineStore`, `engine.LineshaftEngine` and, so that pushed rows keep
their precision, `provider.LineshaftProvider`. They convert, call and convert; answers
come from `lineshaft.tiles.answer`.
"""
