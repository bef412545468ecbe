# shellcheck shell=sh
# Prints how many collections there are. lib_database_values.sh and lib_ask_mongodb.sh stand before it.
# Exit code: the client's.
ask 'let n = 0; db.adminCommand({listDatabases: 1}).databases.forEach(d => { if (!["admin", "config", "local"].includes(d.name)) n += db.getSiblingDB(d.name).getCollectionNames().length }); print(n)'
