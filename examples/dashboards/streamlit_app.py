"""A dashboard of this machine in Streamlit. Run it with ``streamlit run examples/dashboards/streamlit_app.py``."""

import pandas as pd
import streamlit as st
from machine import CUT_SECONDS, OPTIONS, READINGS, audience, series, start

from lunora_rx import api
from lunora_rx.adapters.streamlit import badge, watch
from lunora_rx.blocking import LunoraClient

st.set_page_config(page_title="This machine", layout="wide")


@st.cache_resource(on_release=LunoraClient.close)
def connect():
    """One client for all sessions of this process."""
    return LunoraClient(start(), **OPTIONS)


client = connect()
st.title("This machine, live · Streamlit")


@st.fragment(run_every=0.5)
def dashboard():
    """Runs again twice a second, in each session; the rest of the page does not."""
    readings = watch(client, api.readings.recent, READINGS)
    head = st.container(horizontal=True, vertical_alignment="center")
    with head:
        badge(client, readings)
        st.button("Cut the connection", type="primary", on_click=cut)
        st.caption(audience(client))
    rows = series(readings.value) if readings.has_value else []
    if not rows:
        st.info("Waiting for the first readings")
        return
    show_numbers(rows)
    show_charts(pd.DataFrame(rows).assign(at=lambda frame: pd.to_datetime(frame["at"], unit="ms")))


def show_numbers(rows):
    """Show the newest reading, and how it differs from five seconds before."""
    newest, before = rows[-1], rows[-min(20, len(rows))]
    names = {"cpu": "CPU, %", "memory": "Memory, %", "disk": "Disk, kB/s", "network": "Network, kB/s"}
    for place, (name, label) in zip(st.columns(4), names.items(), strict=True):
        change = round(newest[name] - before[name], 1)
        told = f"{change:,.1f}" if change else None  # an arrow beside 0.0 would be red
        place.metric(label, f"{newest[name]:,.0f}", told, delta_color="inverse", border=True, height="stretch")


def show_charts(frame):
    """Show the last minute."""
    left, right = st.columns(2)
    options = {"x": "at", "x_label": "", "height": 300}
    left.line_chart(frame, y=["cpu", "memory"], y_label="%", color=["#2563eb", "#7c3aed"], **options)
    right.area_chart(frame, y=["disk", "network"], y_label="kB/s", color=["#db2777", "#0d9488"], **options)


def cut():
    """Have the server reset every socket, and refuse new ones for a while."""
    client.action(api.demo.cut, {"seconds": CUT_SECONDS})


dashboard()
