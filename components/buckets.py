"""Private, encrypted buckets as every component makes them."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components import iam


@dataclass(frozen=True)
class Bucket:
    """A bucket with what must be there before its policy."""

    resource: aws.s3.Bucket
    access: aws.s3.BucketPublicAccessBlock


def make_bucket(
    name: str,
    *,
    prefix: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
    protect: bool = False,
    force_destroy: bool = False,
    expiry_days: pulumi.Input[int] | None = None,
) -> Bucket:
    """A bucket of a name beginning with `prefix` (AWS completes it: bucket names are global).

    Public access is blocked, objects are encrypted at rest and, with `expiry_days`, deleted at that age. Who may use it
    is `restrict`'s matter. There are no versions: what is written under a name again has the same bytes, and what is
    deleted, for its age or as somebody's data, must be gone.
    """
    kept = pulumi.ResourceOptions(protect=protect, retain_on_delete=protect)
    bucket = aws.s3.Bucket(
        f"{name}-bucket",
        bucket_prefix=prefix,
        force_destroy=force_destroy,
        opts=pulumi.ResourceOptions.merge(opts, kept),
    )
    access = aws.s3.BucketPublicAccessBlock(
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
    return Bucket(bucket, access)


def restrict(
    name: str,
    bucket: Bucket,
    *,
    account: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
    writer: pulumi.Input[str] | None = None,
) -> aws.s3.BucketPolicy:
    """Close the bucket to plain text, to other accounts and, with `writer` (a role's ARN), to what others write.

    It refuses only, so that what an identity of the account may do is still said by its own policies. Nobody is shut
    out of managing the bucket: the account's identities are not, and reading and deleting objects is not the writer's
    alone.
    """
    arn = bucket.resource.arn
    everything = [arn, pulumi.Output.concat(arn, "/*")]
    # A service that acts for itself has no account; who calls without signing has neither.
    others = {
        "StringNotEquals": {"aws:PrincipalAccount": account},
        "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
    }
    statements = [iam.tls_only(["s3:*"], everything), iam.deny("OwnAccountOnly", ["s3:*"], everything, others)]
    if writer is not None:
        # Of a role's session, aws:PrincipalArn is the role's ARN.
        condition = {"ArnNotEquals": {"aws:PrincipalArn": writer}}
        statements.append(iam.deny("WrittenByItsRoleOnly", ["s3:PutObject"], everything[1:], condition))
    # S3 refuses two changes of a bucket's access at once.
    return aws.s3.BucketPolicy(
        f"{name}-policy",
        bucket=bucket.resource.bucket,
        policy=iam.document(statements),
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[bucket.access])),
    )
