"""Private, encrypted buckets as every component makes them."""

import pulumi
import pulumi_aws as aws


def make_bucket(
    name: str,
    *,
    prefix: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
    protect: bool = False,
    force_destroy: bool = False,
    expiry_days: pulumi.Input[int] | None = None,
) -> aws.s3.Bucket:
    """A bucket of a name beginning with `prefix` (AWS completes it: bucket names are global).

    Public access is blocked, objects are encrypted at rest and, with `expiry_days`, deleted at that age.
    """
    kept = pulumi.ResourceOptions(protect=protect, retain_on_delete=protect)
    bucket = aws.s3.Bucket(
        f"{name}-bucket",
        bucket_prefix=prefix,
        force_destroy=force_destroy,
        opts=pulumi.ResourceOptions.merge(opts, kept),
    )
    aws.s3.BucketPublicAccessBlock(
        f"{name}-access",
        bucket=bucket.bucket,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=opts,
    )
    aws.s3.BucketServerSideEncryptionConfiguration(
        f"{name}-encryption",
        bucket=bucket.bucket,
        rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
        opts=opts,
    )
    if expiry_days is not None:
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=bucket.bucket,
            rules=[
                {
                    "id": "expire",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "expiration": {"days": expiry_days},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": 1},
                }
            ],
            opts=opts,
        )
    return bucket
