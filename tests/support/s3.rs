//! A real S3 server (moto, from PyPI) that a practice fleet can reach.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use super::cached::made_once;
use super::until;

/// The server; it keeps everything in memory, and ends with the test.
pub(crate) struct S3 {
    process: Child,
    /// Address and port.
    pub address: String,
}

/// The server's program, installed once.
fn program() -> PathBuf {
    // Where it is made is where it must stay: the file beside says that it is whole.
    let made = made_once("s3-venv.made", |part| {
        let out = Command::new("sh")
            .args([
                "-ec",
                "python3 -m venv --clear \"$1\"; \"$1\"/bin/pip install --quiet 'moto[server,s3]>=5,<6'; touch \"$2\"",
                "sh",
            ])
            .arg(part.with_file_name("s3-venv"))
            .arg(part)
            .output()
            .expect("a shell");
        assert!(out.status.success(), "{}", super::said(&out));
    });
    made.with_file_name("s3-venv/bin/moto_server")
}

impl S3 {
    /// `address` is this machine's in the fleet's network.
    pub(crate) fn start(address: &str, port: u16) -> Self {
        let process = super::server(program())
            .args(["-H", address, "-p", &port.to_string()])
            .spawn()
            .expect("moto starts");
        let address = format!("{address}:{port}");
        until(Duration::from_secs(60), || {
            TcpStream::connect(&address)
                .map(drop)
                .map_err(|e| e.to_string())
        });
        Self { process, address }
    }

    /// restic's name of a repository in a bucket.
    pub(crate) fn repository(&self, bucket: &str) -> String {
        format!("s3:http://{}/{bucket}", self.address)
    }

    /// Makes a bucket whose objects nobody can delete for a day: object lock, and versions.
    pub(crate) fn locked_bucket(&self, bucket: &str) {
        let script = "import boto3, sys\n\
            s3 = boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1', aws_access_key_id='a', aws_secret_access_key='b')\n\
            s3.create_bucket(Bucket=sys.argv[2], ObjectLockEnabledForBucket=True)\n\
            rule = {'DefaultRetention': {'Mode': 'COMPLIANCE', 'Days': 1}}\n\
            s3.put_object_lock_configuration(Bucket=sys.argv[2], ObjectLockConfiguration={'ObjectLockEnabled': 'Enabled', 'Rule': rule})\n";
        let out = Command::new(program().with_file_name("python3"))
            .args(["-c", script])
            .arg(format!("http://{}", self.address))
            .arg(bucket)
            .output()
            .expect("python");
        assert!(out.status.success(), "{}", super::said(&out));
    }

    /// Damages one data pack of a bucket; answers with its name.
    pub(crate) fn damage(&self, bucket: &str) -> String {
        let script = "import boto3, sys\n\
            s3 = boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1', aws_access_key_id='a', aws_secret_access_key='b')\n\
            packs = s3.get_paginator('list_objects_v2').paginate(Bucket=sys.argv[2], Prefix='data/')\n\
            packs = [o for p in packs for o in p.get('Contents', [])]\n\
            pack = max(packs, key=lambda o: o['Size'])['Key']\n\
            body = bytearray(s3.get_object(Bucket=sys.argv[2], Key=pack)['Body'].read())\n\
            body[len(body) // 3] ^= 1\n\
            s3.put_object(Bucket=sys.argv[2], Key=pack, Body=bytes(body))\n\
            print(pack)\n";
        let out = Command::new(program().with_file_name("python3"))
            .args(["-c", script])
            .arg(format!("http://{}", self.address))
            .arg(bucket)
            .output()
            .expect("python");
        assert!(out.status.success(), "{}", super::said(&out));
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // It has ended, or ends now.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
