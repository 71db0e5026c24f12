#!/bin/bash
# Runs once, when the data folder is made: the owner of the database, who migrates it and may make the scratch database
# of a restore drill, and the restricted role, with which the services run and which gets its rights from the migrations.
set -euo pipefail
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username postgres --dbname postgres \
  --set owner_password="$DATABASE_OWNER_PASSWORD" --set api_password="$DATABASE_API_PASSWORD" <<'SQL'
create role voltuj_owner login createdb password :'owner_password';
create role voltuj_api login password :'api_password';
create database voltuj owner voltuj_owner encoding 'UTF8' template template0;
revoke all on database voltuj from public;
grant connect on database voltuj to voltuj_api;
SQL
