"""Roles, their policies, and keys."""

from local.ministack import LocalAws
from local.resources.kind import Kind, Properties, tag_list, tag_map


class Role(Kind):
    token = "aws:iam/role:Role"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        role = aws.client("iam").create_role(
            RoleName=name,
            AssumeRolePolicyDocument=inputs["assumeRolePolicy"],
            Tags=tag_list(inputs.get("tags")) or [],
        )["Role"]
        return name, {"arn": role["Arn"]}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        role = aws.client("iam").get_role(RoleName=id_)["Role"]
        return {
            "name": role["RoleName"],
            "assumeRolePolicy": role["AssumeRolePolicyDocument"],
            "tags": tag_map(role.get("Tags", [])),
        }


class RolePolicy(Kind):
    token = "aws:iam/rolePolicy:RolePolicy"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        aws.client("iam").put_role_policy(RoleName=inputs["role"], PolicyName=name, PolicyDocument=inputs["policy"])
        return f"{inputs['role']}:{name}", {"name": name}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        found = aws.client("iam").get_role_policy(RoleName=outputs["role"], PolicyName=outputs["name"])
        return {"role": found["RoleName"], "policy": found["PolicyDocument"]}


class Key(Kind):
    token = "aws:kms/key:Key"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        kms = aws.client("kms")
        key = kms.create_key(
            Description=inputs["description"],
            Policy=inputs["policy"],
            Tags=tag_list(inputs.get("tags"), "TagKey", "TagValue") or [],
        )["KeyMetadata"]
        if inputs.get("enableKeyRotation"):
            kms.enable_key_rotation(KeyId=key["KeyId"])
        return key["KeyId"], {"keyId": key["KeyId"], "arn": key["Arn"]}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        kms = aws.client("kms")
        return {
            "description": kms.describe_key(KeyId=id_)["KeyMetadata"]["Description"],
            "policy": kms.get_key_policy(KeyId=id_, PolicyName="default")["Policy"],
            "enableKeyRotation": kms.get_key_rotation_status(KeyId=id_)["KeyRotationEnabled"],
            "tags": tag_map(kms.list_resource_tags(KeyId=id_)["Tags"], "TagKey", "TagValue"),
        }


class KeyAlias(Kind):
    token = "aws:kms/alias:Alias"

    def create(self, aws: LocalAws, name: str, inputs: Properties) -> tuple[str, Properties]:
        aws.client("kms").create_alias(AliasName=name, TargetKeyId=inputs["targetKeyId"])
        return name, {}

    def read(self, aws: LocalAws, id_: str, outputs: Properties) -> Properties:
        return {"name": id_, "targetKeyId": aws.client("kms").describe_key(KeyId=id_)["KeyMetadata"]["KeyId"]}
