"""One machine of a swarm of stock BitTorrent clients, as tools/bench swarm starts it.

Usage: libtorrent_node.py create FILE TORRENT [TRACKER]        (prints the infohash)
       libtorrent_node.py seed TORRENT DIRECTORY ADDRESS:PORT            (the file is in DIRECTORY)
       libtorrent_node.py fetch TORRENT DIRECTORY ADDRESS:PORT PEER...   (`output` appears there when all is there)
"""

import os
import sys
import time

import libtorrent

PIECE_BYTES = 64 << 10

# For a local network: TCP only, nothing that looks for strangers, no limit that a fleet would not set.
SETTINGS = {
    "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
    "enable_incoming_utp": False, "enable_outgoing_utp": False,
    "in_enc_policy": 2, "out_enc_policy": 2,
    "unchoke_slots_limit": -1, "connections_limit": 1000, "connection_speed": 200,
    "allow_multiple_connections_per_ip": True, "predictive_piece_announce": 50,
    "max_out_request_queue": 1500, "max_allowed_in_request_queue": 4000, "send_buffer_watermark": 1 << 20,
    "whole_pieces_threshold": 1, "min_reconnect_time": 1, "max_failcount": 1000,
}


def create(path, torrent, tracker=None):
    files = libtorrent.file_storage()
    files.add_file(os.path.basename(path), os.path.getsize(path))
    made = libtorrent.create_torrent(files, PIECE_BYTES, flags=libtorrent.create_torrent.v1_only)
    if tracker:
        made.add_tracker(tracker)
    libtorrent.set_piece_hashes(made, os.path.dirname(path))
    with open(torrent, "wb") as output:
        output.write(libtorrent.bencode(made.generate()))
    print(libtorrent.torrent_info(torrent).info_hashes().v1)


def connect(handle, peers):
    """To all that are not connected yet: one that was started later refused the first time."""
    known = {f"{peer.ip[0]}:{peer.ip[1]}" for peer in handle.get_peer_info()}
    for peer in peers:
        if peer not in known:
            host, port = peer.rsplit(":", 1)
            handle.connect_peer((host, int(port)))


def run(torrent, directory, address, peers):
    session = libtorrent.session({**SETTINGS, "listen_interfaces": address})
    parameters = libtorrent.add_torrent_params()
    parameters.ti = libtorrent.torrent_info(torrent)
    parameters.save_path = directory
    if not peers:
        # The seed's file is known to be right: whoever comes while it would be checked is sent away.
        parameters.flags |= libtorrent.torrent_flags.seed_mode
    handle = session.add_torrent(parameters)
    name = os.path.join(directory, parameters.ti.files().file_name(0))
    ticks = 0
    while not handle.status().is_seeding:
        if ticks % 50 == 0:
            connect(handle, peers)
        ticks += 1
        time.sleep(0.02)
    handle.flush_cache()
    if peers:
        os.link(name, os.path.join(directory, "output"))
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    command, arguments = sys.argv[1], sys.argv[2:]
    if command == "create":
        create(*arguments)
    else:
        run(arguments[0], arguments[1], arguments[2], arguments[3:])
