#!/usr/bin/perl
# A volume plugin that answers the engine as docker-volume-netshare does (driver nfs, options share and
# create): a volume is the folder share/NAME, mounted while a container has it, below the plugin's own
# folder. It binds that folder where the plugin mounts it by NFS, which a container has no kernel for:
# every server of the practice fleet has the share at the same path. It forgets its volumes when it ends,
# as the plugin does. Of Perl it wants what Debian's perl-base has.
use strict;
use warnings;
use IO::Socket::UNIX;

my $socket = '/run/docker/plugins/nfs.sock';
my $root = '/var/lib/docker-volumes/netshare/nfs';
my (%volumes, %mounted);

sub text { my ($json, $key) = @_; return $json =~ /"$key"\s*:\s*"([^"\\]*)"/ ? $1 : '' }

sub point { my ($name) = @_; return $mounted{$name} ? "$root/$name" : '' }

sub answer {
    my ($call, $json) = @_;
    return '{"Implements":["VolumeDriver"]}' if $call eq '/Plugin.Activate';
    return '{"Capabilities":{"Scope":"local"}}' if $call eq '/VolumeDriver.Capabilities';
    if ($call eq '/VolumeDriver.List') {
        my @all = map { qq({"Name":"$_","Mountpoint":"$root/$_"}) } sort keys %volumes;
        return '{"Volumes":[' . join(',', @all) . ']}';
    }
    my $name = text($json, 'Name');
    return '{"Err":"a name of letters, digits, _, . and - is wanted"}' if $name !~ /^[A-Za-z0-9][\w.-]*$/;
    if ($call eq '/VolumeDriver.Create') {
        my ($share) = text($json, 'share') =~ m{^[^:]+:(/[\w./-]+)$} or return '{"Err":"share is no server:/folder"}';
        $volumes{$name} = text($json, 'create') eq 'true' ? "$share/$name" : $share;
        return '{}';
    }
    my $folder = $volumes{$name} or return qq({"Err":"volume $name not found"});
    if ($call eq '/VolumeDriver.Mount') {
        if (!$mounted{$name}) {
            system('mkdir', '-p', $folder, "$root/$name") == 0 or return '{"Err":"mkdir failed"}';
            system('mount', '--bind', $folder, "$root/$name") == 0 or return '{"Err":"mount failed"}';
        }
        $mounted{$name}++;
        return qq({"Mountpoint":"$root/$name"});
    }
    if ($call eq '/VolumeDriver.Unmount') {
        if ($mounted{$name} && --$mounted{$name} == 0) {
            system('umount', "$root/$name") == 0 or return '{"Err":"umount failed"}';
        }
        return '{}';
    }
    if ($call eq '/VolumeDriver.Remove') {
        return '{"Err":"in use"}' if $mounted{$name};
        delete $volumes{$name};
        return '{}';
    }
    return qq({"Mountpoint":"$root/$name"}) if $call eq '/VolumeDriver.Path';
    return qq({"Volume":{"Name":"$name","Mountpoint":"$root/$name"}}) if $call eq '/VolumeDriver.Get';
    return '{"Err":"unknown call"}';
}

system('mkdir', '-p', '/run/docker/plugins', $root);
unlink $socket;
my $server = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $socket, Listen => 8) or die "$socket: $!";
$SIG{PIPE} = 'IGNORE';
while (my $client = $server->accept) {
    my $call = (split ' ', scalar(<$client>) // '')[1] // '';
    my ($length, $body) = (0, '');
    while (defined(my $line = <$client>)) {
        last if $line =~ /^\r?\n$/;
        $length = $1 if $line =~ /^Content-Length:\s*(\d+)/i;
    }
    read $client, $body, $length if $length;
    my $said = answer($call, $body);
    print $client "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.plugins.v1.1+json\r\n"
        . 'Content-Length: ' . length($said) . "\r\nConnection: close\r\n\r\n$said";
    close $client;
}
