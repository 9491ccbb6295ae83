"""1,000 rows in Streamlit."""

import os

import pandas as pd
import streamlit as st

from lunora_rx import api
from lunora_rx.adapters.streamlit import badge, watch
from lunora_rx.blocking import LunoraClient


@st.cache_resource(on_release=LunoraClient.close)
def connect():
    """One client a process."""
    return LunoraClient(os.environ["LUNORA_URL"])


@st.fragment(run_every=0.5)
def cells():
    """Show the rows, twice a second."""
    snapshot = watch(connect(), api.cells.all)
    badge(connect(), snapshot)
    st.text(snapshot.value[0]["note"])
    st.dataframe(pd.DataFrame(snapshot.value), height=400)


cells()
