-- The statements that are sent to CockroachDB. Written by KIXX_UPDATE=1 go test -run TestStatementsForCockroachDB

create table if not exists kixx_info (
	name  text primary key,
	value text not null
);

create table if not exists kixx_map (
	key     bytea  primary key,
	value   bytea  not null,
	version bigint not null
);

select ('kixx: another commit was first at key ' || encode(coalesce(have.key, want.key), 'hex'))::integer
from (select key, version from kixx_map where key >= $1 and key < $2) as have
full join unnest($3::bytea[], $4::bigint[]) as want (key, version) on have.key = want.key
where have.version is distinct from want.version
limit 1;

select ('kixx: another commit was first at key ' || encode(want.key, 'hex'))::integer
from unnest($1::bytea[], $2::bigint[]) as want (key, version)
left join lateral (select version from kixx_map where key = want.key limit 1) as have on true
where have.version is distinct from want.version
limit 1;

select e.key, e.value as document, d.value, coalesce(d.version, 0) as version
from (select key, value from kixx_map where key >= $1 and key < $2 order by key desc limit $3) as e
left join kixx_map as d on d.key = e.value
order by e.key desc;

select e.key, e.value as document, d.value, coalesce(d.version, 0) as version
from (select key, value from kixx_map where key >= $1 and key < $2 order by key limit $3) as e
left join kixx_map as d on d.key = e.value
order by e.key;

with shared as materialized (
	select key, version from kixx_map where key = any ($1::bytea[]) order by key for share
), held as materialized (
	select key, version from kixx_map where key = any ($2::bytea[]) and (select count(*) from shared) >= 0 order by key for update
)
select ('kixx: another commit was first at key ' || encode(want.key, 'hex'))::integer
from (select count(*) as n from held) as locked, unnest($3::bytea[], $4::bigint[]) as want (key, version)
left join (select * from shared union all select * from held) as have on have.key = want.key
where locked.n >= 0 and have.version is distinct from want.version
limit 1;

with shared as materialized (
	select version from kixx_map where key = $1 for share
), held as materialized (
	select version from kixx_map where key = $2 and (select count(*) from shared) >= 0 for update
)
select ('kixx: another commit was first at key ' || encode(case when (select version from held) is distinct from $4 then $2 else $1 end, 'hex'))::integer
where (select version from held) is distinct from $4 or (select version from shared) is distinct from $3;

begin isolation level serializable;

begin isolation level serializable read only;

cancel session if exists $1;

commit;

delete from kixx_map where key = any ($1::bytea[]);

insert into kixx_info values ('format', '1'), ('isolation', $1), ('watch', 'off') on conflict do nothing;

rollback;

select (select version from kixx_map where key = $4) as of, page.* from (select 1) as one left join (
select e.key, e.value as document, d.value, coalesce(d.version, 0) as version
from (select key, value from kixx_map where key >= $1 and key < $2 order by key desc limit $3) as e
left join kixx_map as d on d.key = e.value
order by e.key desc) as page on true order by page.key desc;

select (select version from kixx_map where key = $4) as of, page.* from (select 1) as one left join (
select e.key, e.value as document, d.value, coalesce(d.version, 0) as version
from (select key, value from kixx_map where key >= $1 and key < $2 order by key limit $3) as e
left join kixx_map as d on d.key = e.value
order by e.key) as page on true order by page.key;

select (select version from kixx_map where key = $4) as of, page.* from (select 1) as one left join (select key, null::bytea as value, version from kixx_map where key >= $1 and key < $2 order by key desc limit $3) as page on true order by page.key desc;

select (select version from kixx_map where key = $4) as of, page.* from (select 1) as one left join (select key, null::bytea as value, version from kixx_map where key >= $1 and key < $2 order by key limit $3) as page on true order by page.key;

select (select version from kixx_map where key = $4) as of, page.* from (select 1) as one left join (select key, value, version from kixx_map where key >= $1 and key < $2 order by key desc limit $3) as page on true order by page.key desc;

select (select version from kixx_map where key = $4) as of, page.* from (select 1) as one left join (select key, value, version from kixx_map where key >= $1 and key < $2 order by key limit $3) as page on true order by page.key;

select 1;

select 1 from [show cluster sessions] where session_id = $1;

select 1 from kixx_map where key = any ($1::bytea[]) order by key for share;

select 1 from kixx_map where key = any ($1::bytea[]) order by key for update;

select key, null::bytea as value, version from kixx_map where key >= $1 and key < $2 order by key desc limit $3;

select key, null::bytea as value, version from kixx_map where key >= $1 and key < $2 order by key limit $3;

select key, value, version from kixx_map where key = any ($1::bytea[]);

select key, value, version from kixx_map where key >= $1 and key < $2 order by key desc limit $3;

select key, value, version from kixx_map where key >= $1 and key < $2 order by key limit $3;

select name, value from kixx_info;

select value, version from kixx_map where key = $1;

show session_id;

with put as (
	insert into kixx_map as old (key, value, version)
	select new.key, new.value, new.version from unnest($1::bytea[], $2::bytea[], $3::bigint[]) as new (key, value, version) order by new.key
	on conflict (key) do update set value = excluded.value, version = excluded.version
	where old.key <> all ($4::bytea[])
	returning key
)
select ('kixx: another commit was first at key ' || encode(absent.key, 'hex'))::integer
from unnest($4::bytea[]) as absent (key)
where (select count(*) from put) < $5 and not exists (select from put where put.key = absent.key)
limit 1;
